"""Pictures on TPU as one long column of pixels, in which a tap is a shift.

A picture's padded rows lie one after the other, W pixels apart: out[n] = sum over r, s of
x[n + r W + s] kernel[r, s]. The last columns of a row then mix two rows, and are cut off.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from kernels_pallas.conv2d.window import Window

LANES = 128
ROWS = 16
"""Sublanes of a tile of 16-bit numbers: what offsets are multiples of."""

CHUNK = 64
"""Pixels whose sums are in registers at once."""


class Rows(NamedTuple):
    """How a picture's rows lie, and how many a program takes.

    Args:
        taps: rows and columns of the kernel.
        pitch: pixels from one row to the next.
        block: rows of the result in a program.
        blocks: programs that a picture takes.
    """

    taps: tuple[int, int]
    pitch: int
    block: int
    blocks: int

    @property
    def read(self) -> int:
        """Pixels that a program reads: one row more than taps meet, past which shifts run."""
        return (self.block + self.taps[0]) * self.pitch

    @property
    def written(self) -> int:
        """Pixels that a program writes."""
        return self.block * self.pitch

    def column(self, x: jax.Array, window: Window) -> jax.Array:
        """x [B, H, W, C] padded and laid out, [B, pixels, lanes]."""
        around = window.padded(x)
        high = self.blocks * self.block + self.taps[0]
        sizes = (x.shape[0], high, self.pitch, lanes(x.shape[3]))
        fill = [(0, size - have) for size, have in zip(sizes, around.shape, strict=True)]
        return jnp.pad(around, fill).reshape(x.shape[0], high * self.pitch, -1)

    def picture(self, column: jax.Array, size: tuple[int, int], channels: int) -> jax.Array:
        """What the programs wrote as pictures [B, h, w, channels]."""
        batch, _, wide = column.shape
        shaped = column.reshape(batch, self.blocks * self.block, self.pitch, wide)
        return shaped[:, : size[0], : size[1], :channels]


def pitch(window: Window, x_shape: tuple[int, ...]) -> int:
    """The padded width, to whole tiles."""
    return -(-(x_shape[2] + sum(window.padding[1])) // ROWS) * ROWS


def lanes(channels: int) -> int:
    """Channels, to whole registers."""
    return -(-channels // LANES) * LANES


def weights(kernel: jax.Array) -> tuple[jax.Array, Callable[[jax.Array, jax.Array], jax.Array]]:
    """Weights by registers of 128 lanes and tap, and the product of pixels with those of a tap.

    Args:
        kernel: [R, S, G, C], as many channels out of a group as into it.

    Returns:
        Depthwise [C / 128, taps, 1, 128], for the vector unit; else [C / 128, taps, 128, 128],
        for the matrix unit, with zeros between groups.
    """
    height, width, inputs, channels = kernel.shape
    taps, registers = height * width, lanes(channels) // LANES
    fill = ((0, 0), (0, 0), (0, lanes(channels) - channels))
    padded = jnp.pad(kernel.reshape(taps, inputs, channels), fill)
    if inputs == 1:
        return padded.reshape(taps, registers, 1, LANES).swapaxes(0, 1), _scaled
    together = LANES // inputs
    parts = padded.reshape(taps, inputs, registers, together, inputs).transpose(2, 0, 1, 3, 4)
    own = jnp.eye(together, dtype=bool)[None, None, :, None, :, None]
    return jnp.where(own, parts[:, :, None], 0).reshape(registers, taps, LANES, LANES), product


def _scaled(pixels: jax.Array, tap: jax.Array) -> jax.Array:
    return pixels.astype(jnp.float32) * tap.astype(jnp.float32)


def product(pixels: jax.Array, matrix: jax.Array) -> jax.Array:
    """A product in the matrix's dtype, summed in float32; float32 itself in full."""
    return jnp.dot(
        pixels.astype(matrix.dtype),
        matrix,
        precision="highest" if matrix.dtype == jnp.float32 else None,
        preferred_element_type=jnp.float32,
    )


def each_chunk(pixels: int, do: Callable[[Any], None]) -> None:
    """Calls `do` with slices of pixels, a chunk of `CHUNK` or fewer at a time."""
    chunk = math.gcd(pixels, CHUNK)

    def one(number: jax.Array, _: None) -> None:
        do(pl.ds(pl.multiple_of(number * chunk, ROWS), chunk))

    jax.lax.fori_loop(0, pixels // chunk, one, None)


def shifted(x_ref: Any, here: Any, down: int, right: int, columns: int) -> list[jax.Array]:
    """Pixels `down` further on and `right`, `right` + 1, ... beside that, in 32 bits.

    Args:
        x_ref: a column of pixels, [pixels, 128].
        here: slice of them.
        down: pixels, whole rows.
        right: pixels to the first.
        columns: how many there are side by side.
    """
    more = -(-(right + columns - 1) // ROWS) * ROWS
    start = pl.multiple_of(here.start + down, ROWS)
    # Shifts by less than a tile are taken in registers.
    row = x_ref[pl.ds(start, here.size + more)].astype(jnp.float32)
    return [row[s : s + here.size] for s in range(right, right + columns)]


def sums(x_ref: Any, weights_ref: Any, here: Any, rows: Rows, term: Any) -> jax.Array:
    """The convolution at a chunk of pixels, [chunk, 128] in float32.

    Args:
        x_ref: [pixels, 128].
        weights_ref: of these lanes, [taps, .., 128].
        here: the chunk.
        rows: how pictures lie.
        term: product of pixels with the weights of a tap.
    """
    total = jnp.zeros((here.size, LANES), jnp.float32)
    for r in range(rows.taps[0]):
        for s, pixels in enumerate(shifted(x_ref, here, r * rows.pitch, 0, rows.taps[1])):
            total += term(pixels, weights_ref[r * rows.taps[1] + s])
    return total
