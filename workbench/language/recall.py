"""Multi-query associative recall: which value was shown with this key? (arXiv 2312.04927)"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Int32
from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench.datasets import batch_indices
from workbench.language.token_data import IGNORED, Rows

_BLOCK = 1024  # examples drawn at once, which bounds the memory of a draw without replacement
_TEST = 2**63  # keeps the seeds of test examples apart from those of training


class MQAR(BaseModel):
    """Multi-query associative recall (Arora et al. 2023, section 4; appendix E for the draws).

    A row begins with `pairs` keys, each followed by its value; later each key comes once more, and
    what must follow it is its value. Keys are drawn from 1 ... V/2 - 1, values from V/2 ... V - 1,
    both without replacement. A query stands 2 g tokens after the pairs, with gaps g drawn without
    replacement with chance ~ g^(power - 1): mostly soon, sometimes late. Everything between is
    a random token, or 0. Only queries have a target.

    The sizes that stand here are ours, for a CPU; `CLASSIC` holds the published ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    length: int = Field(64, ge=4, description="tokens of a row, T")
    pairs: int = Field(8, ge=1, description="keys with a value")
    vocab: int = Field(512, ge=4, description="tokens there are, V")
    power: float = Field(0.01, gt=0, description="how late queries come; 1: evenly")
    random_between: bool = Field(True, description="whether random tokens stand between")
    train_examples: int = Field(20_000, ge=1, description="rows to learn from")
    test_examples: int = Field(1_000, ge=1, description="rows held out")
    data_seed: int = Field(0, ge=0, lt=2**32, description="of the rows themselves")

    @model_validator(mode="after")
    def _fits(self) -> MQAR:
        if 4 * self.pairs > self.length:
            raise ValueError(
                f"pairs={self.pairs}: a row needs 4 tokens a pair, so that length={self.length} "
                f"holds {self.length // 4}"
            )
        if self.pairs > self.vocab // 2 - 1:
            raise ValueError(
                f"pairs={self.pairs}: vocab={self.vocab} has {self.vocab // 2 - 1} keys"
            )
        return self

    @property
    def vocab_size(self) -> int:
        """Ids are below it."""
        return self.vocab

    @property
    def fingerprint(self) -> str:
        """All its settings."""
        return f"mqar {self.model_dump_json()}"

    def batch(self, step: int, batch_size: int, seed: int) -> Rows:
        """The training rows of an update, a pure function of its arguments."""
        rows = _examples(self, self.train_examples, 0)
        index = batch_indices(len(rows.tokens), batch_size, seed, step)
        return Rows(rows.tokens[index], rows.targets[index])

    def test_rows(self, count: int | None = None) -> Rows:
        """Rows held out, always the same; the first `count` where given."""
        rows = _examples(self, self.test_examples, _TEST)
        return Rows(rows.tokens[:count], rows.targets[:count])


CLASSIC: tuple[MQAR, ...] = tuple(
    MQAR(
        length=length, pairs=pairs, vocab=8192, random_between=False,
        train_examples=100_000, test_examples=3_000,
    )
    for length, pairs in ((64, 4), (128, 8), (256, 16), (512, 64))
)  # fmt: skip
"""The grid of Arora et al. 2023, figure 2: 2 layers of attention or 4 of others, no MLP."""


@lru_cache(maxsize=8)
def _examples(config: MQAR, count: int, stream: int) -> Rows:
    blocks = []
    for first in range(0, count, _BLOCK):
        key = np.array([config.data_seed, stream + first], np.uint64)
        draw = np.random.Generator(np.random.Philox(key=key))
        blocks.append(_block(config, min(_BLOCK, count - first), draw))
    tokens, targets = (np.concatenate(part) for part in zip(*blocks, strict=True))
    for part in (tokens, targets):
        part.setflags(write=False)
    return Rows(tokens, targets)


def _block(
    config: MQAR, count: int, draw: np.random.Generator
) -> tuple[Int32[np.ndarray, "B T"], Int32[np.ndarray, "B T"]]:
    pairs, length, half = config.pairs, config.length, config.vocab // 2
    keys = 1 + _without_replacement(np.zeros(half - 1), count, pairs, draw)
    values = half + _without_replacement(np.zeros(config.vocab - half), count, pairs, draw)
    gap = np.arange(1, (length - 2 * pairs) // 2 + 1)
    chances = (config.power - 1) * np.log(gap)
    at = 2 * pairs + 2 * _without_replacement(chances, count, pairs, draw)
    between = draw.integers(0, config.vocab, (count, length)) if config.random_between else 0
    tokens = np.zeros((count, length), np.int64) + between
    tokens[:, 0 : 2 * pairs : 2] = keys
    tokens[:, 1 : 2 * pairs : 2] = values
    targets = np.full((count, length), IGNORED, np.int64)
    np.put_along_axis(tokens, at, keys, axis=1)
    np.put_along_axis(targets, at, values, axis=1)
    return tokens.astype(np.int32), targets.astype(np.int32)


def _without_replacement(
    log_chances: np.ndarray, count: int, size: int, draw: np.random.Generator
) -> Any:
    """[count, size] places drawn one after another without replacement.

    The largest of log-chances with Gumbel noise, in their order, are such a draw (Yellott 1977).
    """
    noisy = log_chances + draw.gumbel(size=(count, len(log_chances)))
    top = np.argpartition(-noisy, size - 1, axis=1)[:, :size]
    order = np.argsort(-np.take_along_axis(noisy, top, axis=1), axis=1)
    return np.take_along_axis(top, order, axis=1)
