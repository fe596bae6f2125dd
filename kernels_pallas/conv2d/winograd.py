"""Minimal filtering for 3 x 3 kernels at stride 1 (Lavin & Gray 2015, section 4; Winograd 1980).

    Y = A^T [ (G g G^T) . (B^T d B) ] A

for each tile d of (m + 2) x (m + 2) inputs, m x m outputs, and each pair of channels: (m + 2)^2
products in place of 9 m^2, which are (m + 2)^2 matrix products over tiles and channels. m = 2
takes 2.25 times fewer products than the definition and rounds about as it does; m = 4 takes 4
times fewer and rounds ten to twenty times worse.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from kernels_pallas.conv2d.window import Window

TAPS = 3
Rows = tuple[tuple[float, ...], ...]


class Filtering(NamedTuple):
    """The matrices of F(m x m, 3 x 3), and m: equations 8 and, for m = 4, of section 4.3."""

    outputs: int
    of_input: Rows  # B^T
    of_kernel: Rows  # G, each row without the number in `scales`
    scales: tuple[float, ...]
    of_output: Rows  # A^T


F2 = Filtering(
    2,
    ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    ((1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1)),
    (1, 1 / 2, 1 / 2, 1),
    ((1, 1, 1, 0), (0, 1, -1, -1)),
)
F4 = Filtering(
    4,
    (
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    ((1, 0, 0), (1, 1, 1), (1, -1, 1), (1, 2, 4), (1, -2, 4), (0, 0, 1)),
    (1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24, 1),
    ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["values"], meta_fields=[])
class WinogradWeights:
    """G g G^T of a 3 x 3 kernel for F(2 x 2, 3 x 3), in place of it: 16/9 of its bytes.

    Args:
        values: [16, C, K].
    """

    def __init__(self, values: jax.Array) -> None:
        self.values = values


def conv2d(x: jax.Array, kernel: jax.Array, window: Window, filtering: Filtering = F2) -> jax.Array:
    """Transforms the kernel and convolves: one product for each place of a tile."""
    tiles = tiled(x, window, filtering)
    zero = _zero_after(tiles[0]).astype(kernel.dtype)
    found = [tap + zero for tap in transformed(kernel, filtering)]
    products = [jnp.matmul(tile, tap) for tile, tap in zip(tiles, found, strict=True)]
    return joined(products, x, window, filtering)


def _zero_after(tile: jax.Array) -> jax.Array:
    """A zero that XLA cannot tell without a matrix of `tiled`.

    Without it XLA transforms the kernels of a whole network before anything that needs them: all
    are in memory at once, and none is in cache any more when its turn comes. It is a conditional,
    because what XLA can fuse it writes out again for every place of the transform.
    """
    return lax.cond(tile[0, 0] < 0, lambda: -0.0, lambda: 0.0)


def conv2d_of_weights(x: jax.Array, weights: WinogradWeights, window: Window) -> jax.Array:
    """Convolves with weights that are transformed: one product with a batch of 16."""
    tiles = jnp.stack(tiled(x, window, F2))
    products = lax.dot_general(tiles, weights.values, (((2,), (1,)), ((0,), (0,))))
    return joined(list(products), x, window, F2)


def transformed(kernel: jax.Array, filtering: Filtering) -> list[jax.Array]:
    """G g G^T, a matrix [C, K] for each place of a tile."""
    _, _, channels, outputs = kernel.shape
    flat = kernel.reshape(-1, outputs)
    taps = [flat[at * channels : (at + 1) * channels] for at in range(TAPS * TAPS)]
    sums = _both(filtering.of_kernel, [taps[r * TAPS : (r + 1) * TAPS] for r in range(TAPS)])
    scales = [down * across for down in filtering.scales for across in filtering.scales]
    return [_scaled(scale, place) for scale, place in zip(scales, sums, strict=True)]


def kernel_of(weights: WinogradWeights) -> jax.Array:
    """The kernel [3, 3, C, K] that transformed weights came from."""
    inverse = np.linalg.pinv(np.diag(F2.scales) @ np.array(F2.of_kernel))
    places = weights.values.reshape(4, 4, *weights.values.shape[1:])
    left = jnp.asarray(inverse, weights.values.dtype)
    return jnp.einsum("ra,abck,sb->rsck", left, places, left, precision="highest")


def tiled(x: jax.Array, window: Window, filtering: Filtering) -> list[jax.Array]:
    """B^T d B, a matrix [tiles, C] for each place of a tile."""
    size, side = filtering.outputs, filtering.outputs + TAPS - 1
    rows, columns = window.outputs(x.shape[1:3], (TAPS, TAPS))
    down, across = _tiles(rows, size), _tiles(columns, size)
    padded = window.padded(x, (down * size - rows, across * size - columns))

    def seen(r: int, s: int) -> jax.Array:
        last = (r + size * (down - 1) + 1, s + size * (across - 1) + 1)
        return padded[:, r : last[0] : size, s : last[1] : size]

    found = _both(filtering.of_input, [[seen(r, s) for s in range(side)] for r in range(side)])
    return [place.reshape(-1, x.shape[3]) for place in found]


def joined(
    products: list[jax.Array], x: jax.Array, window: Window, filtering: Filtering
) -> jax.Array:
    """A^T m A laid out as a picture, without what hangs over."""
    size, side = filtering.outputs, filtering.outputs + TAPS - 1
    rows, columns = window.outputs(x.shape[1:3], (TAPS, TAPS))
    shape = (x.shape[0], _tiles(rows, size), _tiles(columns, size), products[0].shape[-1])
    places = [products[r * side : (r + 1) * side] for r in range(side)]
    found = [place.reshape(shape) for place in _both(filtering.of_output, places)]
    lines = [jnp.stack(found[r * size : (r + 1) * size], axis=3) for r in range(size)]
    whole = jnp.stack(lines, axis=2)
    picture = whole.reshape(shape[0], shape[1] * size, shape[2] * size, shape[3])
    return picture[:, :rows, :columns]


def _tiles(length: int, size: int) -> int:
    return -(-length // size)


def _both(matrix: Rows, parts: list[list[jax.Array]]) -> list[jax.Array]:
    """M d M^T for a matrix M of numbers and d of arrays, row by row."""
    columns = [_combined(matrix, [row[s] for row in parts]) for s in range(len(parts[0]))]
    rows = [_combined(matrix, [column[r] for column in columns]) for r in range(len(matrix))]
    return [place for row in rows for place in row]


def _combined(matrix: Rows, parts: list[jax.Array]) -> list[jax.Array]:
    """Sums of arrays with the coefficients of each row; zeros are left out, ones not multiplied."""
    found = []
    for row in matrix:
        terms = [pair for pair in zip(row, parts, strict=True) if pair[0] != 0]
        (weight, array), *others = terms
        total = _scaled(weight, array)
        for weight, array in others:
            total = total - array if weight == -1 else total + _scaled(weight, array)
        found.append(total)
    return found


def _scaled(weight: float, array: jax.Array) -> jax.Array:
    return array if weight == 1 else array * jnp.asarray(weight, array.dtype)
