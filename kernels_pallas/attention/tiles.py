"""How the XLA form cuts scores into tiles, and which keys a block of query rows can see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels_pallas.attention.reference import Segments

STRIPES = 8
"""Most lengths of keys under a causal mask: each is a loop of its own to compile. Eight leave
9/16 of the scores where every block its own length would leave 1/2."""


class Tiles(NamedTuple):
    """Scores made at a time, and what of them is seen.

    Args:
        batch: sequences of one tile; divides B.
        heads: key/value heads of one tile; divides K.
        rows: query rows of one tile, for each query head.
        causal, window: as in `attention`.
        scale: of the scores.
    """

    batch: int
    heads: int
    rows: int
    causal: bool
    window: int | None
    scale: float


class Stripe(NamedTuple):
    """Neighbouring blocks of rows with equally many keys.

    Args:
        row: first query row.
        blocks: blocks of rows.
        keys: keys of each block.
        slides: whether the keys begin later for each block; else at 0.
    """

    row: int
    blocks: int
    keys: int
    slides: bool


def tiles(
    q_shape: Sequence[int],
    keys: int,
    sizes: dict[str, int],
    causal: bool,
    window: int | None,
    scale: float,
) -> Tiles:
    """Tiles of about `sizes["tile"]` scores: up to `sizes["rows"]` rows, then heads, then batch.

    Args:
        q_shape: [B, K, G, T, D].
        keys: S.
        sizes: "tile", "rows" and "least_rows" of `tuned.json`.
        causal, window, scale: as in `attention`.
    """
    batch, heads, share, queries, _ = q_shape
    width = keys if window is None else min(keys, 2 * window + sizes["least_rows"])
    most = min(sizes["rows"], sizes["tile"] // width)
    if causal:  # shorter blocks leave out more of what nobody sees
        most = min(most, queries // STRIPES)
    rows = min(queries, max(-(-max(most, sizes["least_rows"]) // share), 8))
    left = sizes["tile"] // (rows * share * width)
    many = _divisor(heads, left)
    several = _divisor(batch, left // heads) if many == heads else 1
    return Tiles(several, many, rows, causal, window, scale)


def _divisor(of: int, most: int) -> int:
    return next(n for n in range(min(of, max(most, 1)), 0, -1) if of % n == 0)


def stripes(cut: Tiles, queries: int, keys: int) -> list[Stripe]:
    """The blocks of all rows, with the keys each can see."""
    blocks, offset = -(-queries // cut.rows), keys - queries
    if cut.window is not None:
        reach = (cut.window - 1) * (1 if cut.causal else 2)
        width = min(keys, cut.rows + reach)
        if width < keys:
            return [Stripe(0, blocks, width, True)]
    if not cut.causal:
        return [Stripe(0, blocks, keys, False)]
    each = -(-blocks // STRIPES)
    return [
        Stripe(first * cut.rows, count, min(keys, (first + count) * cut.rows + offset), False)
        for first in range(0, blocks, each)
        for count in [min(each, blocks - first)]
    ]


def first_key(cut: Tiles, stripe: Stripe, row: jax.Array, queries: int, keys: int) -> jax.Array:
    """The first key of a block that begins with query `row`."""
    if not stripe.slides or cut.window is None:
        return jnp.zeros_like(row)
    return jnp.clip(row + (keys - queries) - (cut.window - 1), 0, keys - stripe.keys)


def seen(
    cut: Tiles, positions: jax.Array, keys: jax.Array, segments: Segments | None
) -> jax.Array | None:
    """Which keys [n] the queries at `positions` [r] see: [b, 1, 1, r, n], None for all.

    Args:
        cut: causal and window.
        positions: of queries among the keys.
        keys: positions of keys.
        segments: of these queries [b, r] and keys [b, n].
    """
    mask = None
    ahead = keys[None, :] - positions[:, None]
    if cut.causal:
        mask = ahead <= 0
    if cut.window is not None:
        near = (-ahead if cut.causal else jnp.abs(ahead)) < cut.window
        mask = near if mask is None else mask & near
    if mask is not None:
        mask = mask[None, None, None]
    if segments is not None:
        same = segments[0][:, None, None, :, None] == segments[1][:, None, None, None, :]
        mask = same if mask is None else mask & same
    return mask
