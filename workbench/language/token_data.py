"""Texts as rows of tokens to learn from, with what was seen of them always known."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from workbench.datasets import Dataset, DatasetError, Text, batch_indices
from workbench.language.tokens import Bytes, Tokenizer

BYTES = Bytes()
IGNORED = -100
"""Target of a position that is not learnt from, as in torch's cross-entropy."""


class Rows(NamedTuple):
    """Rows of tokens and what should follow each.

    Attributes:
        tokens: int32 [B, T].
        targets: int32 [B, T]; `IGNORED` where there is nothing to learn.
        segment_ids: int32 [B, T], the document of each token; None where rows are not parted.
    """

    tokens: Int32[np.ndarray, "B T"]
    targets: Int32[np.ndarray, "B T"]
    segment_ids: Int32[np.ndarray, "B T"] | None = None


class Stream(NamedTuple):
    """The tokens of a split, one document after another.

    Attributes:
        ids: int32 [N].
        documents: int32 [N], the number of each token's document.
    """

    ids: Int32[np.ndarray, " N"]
    documents: Int32[np.ndarray, " N"]


@dataclass(frozen=True, eq=False)
class TokenData:
    """A text dataset under a tokenizer, cut into rows of `length` tokens.

    Row i holds tokens i T to i T + T - 1 of the stream, and its targets are the tokens one later:
    every token but the first is a target once an epoch. The rows of an epoch come in a permutation
    that depends on seed and epoch alone.

    Args:
        text: the dataset.
        tokenizer: bytes where none is given.
        length: tokens of a row, T.
        packed: whether documents are kept apart: rows carry `segment_ids`, and the first token of
            a document is no target, since nothing before it could tell.

    Raises:
        DatasetError: a split without tokens, or shorter than one row.
    """

    text: Dataset[Text]
    tokenizer: Tokenizer = BYTES
    length: int = 256
    packed: bool = False

    def __post_init__(self) -> None:
        if self.length < 1:
            raise DatasetError(f"length={self.length} must be 1 or more")
        tokens = len(self.train.ids)
        if tokens < self.length + 1:
            raise DatasetError(
                f"{self.text.name}: its training split has {tokens} tokens; a row needs "
                f"{self.length + 1}, one more than length={self.length}"
            )
        if len(self.test.ids) < 2:
            raise DatasetError(
                f"{self.text.name}: its test split has {len(self.test.ids)} tokens; 2 are needed"
            )

    @cached_property
    def train(self) -> Stream:
        """Tokens to learn from."""
        return _stream(self.text.train, self.tokenizer)

    @cached_property
    def test(self) -> Stream:
        """Tokens held out."""
        return _stream(self.text.test, self.tokenizer)

    @property
    def vocab_size(self) -> int:
        """Ids are below it."""
        return self.tokenizer.vocab_size

    @property
    def fingerprint(self) -> str:
        """Of texts, tokens and rows."""
        rows = f"length={self.length} packed={self.packed}"
        return f"{self.text.fingerprint} {self.tokenizer.fingerprint} {rows}"

    @property
    def rows(self) -> int:
        """Rows of the training split."""
        return (len(self.train.ids) - 1) // self.length

    def batch(self, step: int, batch_size: int, seed: int) -> Rows:
        """The training rows of an update, a pure function of its arguments.

        Args:
            step: the update's number, from 0.
            batch_size: rows, B.
            seed: of the order.
        """
        index = batch_indices(self.rows, batch_size, seed, step)
        return self._rows(self.train, index)

    def test_rows(self, count: int | None = None, length: int | None = None) -> Rows:
        """Rows of the test split, always the same.

        Args:
            count: at most so many, evenly spread; all when None. The last of all is filled up
                with targets that do not count.
            length: tokens of a row, `self.length` when None.
        """
        length = length or self.length
        total = -(-(len(self.test.ids) - 1) // length)
        index = np.arange(total)
        if count is not None and count < total:
            index = np.unique(np.linspace(0, max(total - 2, 0), count).round().astype(np.int64))
        return self._rows(self.test, index, length)

    def bytes_of_targets(self, rows: Rows) -> int:
        """UTF-8 bytes of all that counts in the targets."""
        return len(self.tokenizer.bytes_of(rows.targets[rows.targets != IGNORED]))

    def epochs(self, steps: int, batch_size: int) -> float:
        """How often so many updates see each training row."""
        return steps * batch_size / self.rows

    @property
    def unique_bytes(self) -> int:
        """Bytes of the dataset, repeats counted once."""
        return self.text.card.unique_bytes

    def summary(self, steps: int, batch_size: int) -> str:
        """What a run sees of the data, in words: unique bytes and epochs."""
        seen = steps * batch_size * self.length
        return (
            f"{self.text.name}: {self.unique_bytes:,} unique bytes, {len(self.train.ids):,} "
            f"training tokens of {self.vocab_size:,} kinds; {seen:,} tokens seen, "
            f"{self.epochs(steps, batch_size):.2f} epochs"
        )

    def __repr__(self) -> str:
        return (
            f"TokenData({self.text.name!r}, {len(self.train.ids):,} training tokens of "
            f"{self.vocab_size:,} kinds, {self.unique_bytes:,} unique bytes, rows of {self.length})"
        )

    def _repr_html_(self) -> str:
        return f"<div>{html.escape(repr(self))}</div>{self.text.card._repr_html_()}"

    def _rows(self, stream: Stream, index: np.ndarray, length: int | None = None) -> Rows:
        length = length or self.length
        at = index[:, None] * length + np.arange(length + 1)
        inside = at < len(stream.ids)
        at = np.minimum(at, len(stream.ids) - 1)
        ids, documents = stream.ids[at], stream.documents[at]
        counts = inside[:, 1:]
        if self.packed:
            counts = counts & (documents[:, 1:] == documents[:, :-1])
        targets = np.where(counts, ids[:, 1:], np.int32(IGNORED))
        return Rows(ids[:, :-1], targets, documents[:, :-1] if self.packed else None)


def _stream(split: Text, tokenizer: Tokenizer) -> Stream:
    if isinstance(tokenizer, Bytes):  # the split is that already
        lengths = np.diff([*split.starts.tolist(), len(split.text)])
        ids = split.text.astype(np.int32)
    else:
        pieces = [tokenizer.encode(document) for document in split.documents()]
        lengths = np.array([len(piece) for piece in pieces], np.int64)
        ids = np.concatenate([np.zeros(0, np.int32), *pieces])
    return Stream(ids, np.repeat(np.arange(len(lengths), dtype=np.int32), lengths))
