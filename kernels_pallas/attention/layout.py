"""Cutting arrays into the tiles of `tiles.Tiles` and putting the results together again."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from kernels_pallas.attention.reference import Segments
from kernels_pallas.attention.tiles import Stripe, Tiles, seen

Place = tuple[jax.Array, jax.Array]
"""First sequence and first kv head of a tile."""


def places(shape: Sequence[int], cut: Tiles) -> Place:
    """Where each tile begins, in the order of `split`; shape is [B, K, ...]."""
    batch, heads = shape[0] // cut.batch, shape[1] // cut.heads
    return (
        jnp.repeat(jnp.arange(batch) * cut.batch, heads),
        jnp.tile(jnp.arange(heads) * cut.heads, batch),
    )


def split(array: jax.Array, cut: Tiles) -> jax.Array:
    """[B, K, ...] as [tiles, b, n, ...]."""
    batch, heads, *rest = array.shape
    shape = (batch // cut.batch, cut.batch, heads // cut.heads, cut.heads, *rest)
    return jnp.swapaxes(array.reshape(shape), 1, 2).reshape(-1, cut.batch, cut.heads, *rest)


def whole(array: jax.Array, shape: Sequence[int]) -> jax.Array:
    """[tiles, b, n, ...] as [B, K, ...]: undoes `split`."""
    b, n = array.shape[1:3]
    apart = array.reshape(shape[0] // b, shape[1] // n, b, n, *shape[2:])
    return jnp.swapaxes(apart, 1, 2).reshape(tuple(shape))


def joined(array: jax.Array, shape: Sequence[int]) -> jax.Array:
    """[tiles, blocks, b, n, G, r, E] as [B, K, G, T, E], without the rows that were padded.

    Args:
        array: what the blocks of all tiles gave.
        shape: [B, K, G, T, ...].
    """
    blocks, _, _, share, rows, width = array.shape[1:]
    apart = jnp.moveaxis(array, 1, 4)
    together = whole(
        apart.reshape(*apart.shape[:4], blocks * rows, width),
        (*shape[:2], share, blocks * rows, width),
    )
    return together[:, :, :, : shape[3]]


def padded(array: jax.Array, axis: int, rows: int) -> jax.Array:
    """With zeros up to a multiple of `rows`; an axis of length 1 stays, for it is broadcast."""
    spare = -array.shape[axis] % rows
    if not spare or array.shape[axis] == 1:
        return array
    pads = [(0, 0)] * array.ndim
    pads[axis] = (0, spare)
    return jnp.pad(array, pads)


def some_keys(array: jax.Array, start: jax.Array, stripe: Stripe) -> jax.Array:
    """The keys [b, n, s, ...] that a block sees."""
    if stripe.slides:
        return lax.dynamic_slice_in_dim(array, start, stripe.keys, axis=2)
    return array[:, :, : stripe.keys]


def keys_added(total: jax.Array, part: jax.Array, start: jax.Array | int) -> jax.Array:
    """`total` [b, n, d, s] with `part` added to its keys from `start` on."""
    old = lax.dynamic_slice_in_dim(total, start, part.shape[3], axis=3)
    return lax.dynamic_update_slice_in_dim(total, old + part, start, axis=3)


class Biases:
    """Where the bias [B, K, G, T, S] (any axis 1) of a block lies.

    Args:
        array: the bias, padded to whole blocks of rows.
        cut: the tiles.
    """

    def __init__(self, array: jax.Array, cut: Tiles) -> None:
        self.array, self.cut = array, cut

    def _slice(
        self, place: Place, row: jax.Array, start: jax.Array, keys: int
    ) -> tuple[list[jax.Array], list[int]]:
        zero = jnp.zeros_like(row)
        starts = [place[0], place[1], zero, row, start]
        sizes = [self.cut.batch, self.cut.heads, self.array.shape[2], self.cut.rows, keys]
        one = [length == 1 for length in self.array.shape]
        return (
            [zero if single else at for single, at in zip(one, starts, strict=True)],
            [1 if single else size for single, size in zip(one, sizes, strict=True)],
        )

    def block(self, place: Place, row: jax.Array, start: jax.Array, keys: int) -> jax.Array:
        """The bias of a block, [b, n, g, r, keys] with axes of 1."""
        return lax.dynamic_slice(self.array, *self._slice(place, row, start, keys))

    def added(
        self, total: jax.Array, part: jax.Array, place: Place, row: jax.Array, start: jax.Array
    ) -> jax.Array:
        """`total`, a gradient in the bias' shape, with a block's [b, n, g, r, keys] added."""
        starts, sizes = self._slice(place, row, start, part.shape[4])
        alike = tuple(axis for axis, size in enumerate(sizes) if size < part.shape[axis])
        part = jnp.sum(part, axis=alike, keepdims=True)
        return lax.dynamic_update_slice(
            total, lax.dynamic_slice(total, starts, sizes) + part, starts
        )


def mask(
    segments: Segments | None,
    place: Place,
    row: jax.Array,
    start: jax.Array,
    cut: Tiles,
    stripe: Stripe,
    offset: int,
) -> jax.Array | None:
    """What a block sees: [b, 1, 1, r, s], None for everything.

    Args:
        segments: of all queries, padded to whole blocks, and all keys.
        place, row, start: first sequence, query row and key of the block.
        cut, stripe: the tiles, and the block's stripe.
        offset: S - T.
    """
    if segments is not None:
        of_queries = lax.dynamic_slice(segments[0], (place[0], row), (cut.batch, cut.rows))
        of_keys = lax.dynamic_slice(segments[1], (place[0], start), (cut.batch, stripe.keys))
        segments = of_queries, of_keys
    positions = row + jnp.arange(cut.rows) + offset
    return seen(cut, positions, start + jnp.arange(stripe.keys), segments)
