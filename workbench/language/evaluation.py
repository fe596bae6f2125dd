"""How good a decoder is: bits per byte, loss along a text, recall."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from workbench.language.cross_entropy import token_losses
from workbench.language.decoder import Decoder
from workbench.language.recall import MQAR
from workbench.language.token_data import IGNORED, Rows, TokenData

TOKENS_AT_ONCE = 4096


class HeldOutLoss(NamedTuple):
    """What a model said of a text.

    Attributes:
        nats: -log p of all targets together.
        tokens: how many there were.
        bytes: how many bytes of UTF-8 they stand for.
    """

    nats: float
    tokens: int
    bytes: int

    @property
    def bits_per_byte(self) -> float:
        """nats / (ln 2 bytes): the figure that compares across tokenizers."""
        return self.nats / (math.log(2) * self.bytes)

    @property
    def nats_per_token(self) -> float:
        """Mean loss."""
        return self.nats / self.tokens


def held_out_loss(model: Decoder, data: TokenData, *, rows: int | None = None) -> HeldOutLoss:
    """Loss on the test split, each row read from its beginning.

    Args:
        model: reads `data`'s tokens.
        data: gives the split and the length of rows.
        rows: at most so many, evenly spread; all when None.
    """
    chosen = data.test_rows(rows)
    nats = sum(float(part.sum(dtype=np.float64)) for part in _losses(model, chosen))
    return HeldOutLoss(nats, int((chosen.targets != IGNORED).sum()), data.bytes_of_targets(chosen))


def bits_per_byte(model: Decoder, data: TokenData, *, rows: int | None = None) -> float:
    """Bits a byte of the test split takes, as `held_out_loss`."""
    return held_out_loss(model, data, rows=rows).bits_per_byte


def loss_by_position(
    model: Decoder, data: TokenData, *, length: int | None = None, rows: int | None = None
) -> Float[np.ndarray, " T"]:
    """Mean loss at each place of a row, nats: how much more context helps.

    Args:
        length: tokens of a row, the data's own when None.
        rows: at most so many.
    """
    chosen = data.test_rows(rows, length)
    counts = (chosen.targets != IGNORED).sum(0)
    return sum(part.sum(0, dtype=np.float64) for part in _losses(model, chosen)) / counts


def recall_accuracy(model: Decoder, task: MQAR, *, rows: int | None = None) -> float:
    """Share of queries whose likeliest next token is the value of their key.

    Args:
        rows: at most so many of the held-out ones.
    """
    graph, weights = nnx.split(model)
    chosen = task.test_rows(rows)
    right = 0
    for part in _batches(chosen):
        right += int(_right(graph, weights, part))
    return right / int((chosen.targets != IGNORED).sum())


def _losses(model: Decoder, rows: Rows) -> Iterator[Float[np.ndarray, "B T"]]:
    graph, weights = nnx.split(model)
    for part in _batches(rows):
        yield np.asarray(_batch_losses(graph, weights, part))


def _batches(rows: Rows) -> Iterator[Rows]:
    """Batches of one size; the last is filled up with rows that do not count."""
    count, length = rows.tokens.shape
    size = min(count, max(1, TOKENS_AT_ONCE // length))
    for first in range(0, count, size):
        index = np.arange(first, first + size)
        inside = index < count
        index = np.minimum(index, count - 1)
        targets = np.where(inside[:, None], rows.targets[index], np.int32(IGNORED))
        segments = None if rows.segment_ids is None else rows.segment_ids[index]
        yield Rows(rows.tokens[index], targets, segments)


# One compilation for all models of a shape: `graph` is the shape, and equal ones are one key.
@partial(jax.jit, static_argnums=0)
def _batch_losses(graph: Any, weights: Any, rows: Rows) -> jax.Array:
    model = nnx.merge(graph, weights)
    return token_losses(model(rows.tokens, segment_ids=rows.segment_ids), rows.targets)


@partial(jax.jit, static_argnums=0)
def _right(graph: Any, weights: Any, rows: Rows) -> jax.Array:
    logits = nnx.merge(graph, weights)(rows.tokens, segment_ids=rows.segment_ids)
    return jnp.sum(jnp.argmax(logits, axis=-1).astype(jnp.int32) == rows.targets)
