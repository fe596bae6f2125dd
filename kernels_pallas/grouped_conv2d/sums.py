"""The gradient to a depthwise kernel: sums over pixels, a block of rows at a time.

Every tap of a block is a product of the size of the block, added to one that stays in the cache;
what is left at the end is one block a tap. XLA's own sum over pixels walks through the whole
picture for every channel.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from kernels_pallas import manual
from kernels_pallas.conv2d.window import Window

BLOCK = 32 * 1024
"""Bytes of the result's gradient in a block, of 16 to 64 KiB the best on the whole."""


def gradient_of_kernel(
    x: jax.Array, gradient: jax.Array, taps: tuple[int, int], window: Window
) -> jax.Array:
    """[R, S, 1, K] of a depthwise convolution.

    Args:
        x: pictures [B, H, W, C].
        gradient: of the result, [B, h, w, K].
        taps: R and S.
        window: of the convolution.
    """
    (height, width), (down, right) = taps, window.strides
    batch, rows, columns, outputs = gradient.shape
    channels = x.shape[3]
    around = lax.optimization_barrier(window.padded(x))
    slopes = gradient.reshape(batch, rows, columns, channels, -1)
    block = _rows(rows, columns * outputs * gradient.dtype.itemsize)
    blocks = rows // block
    deep, wide = down * (block - 1) + height, around.shape[2]

    def step(sums: tuple[jax.Array, ...], number: jax.Array) -> tuple[tuple[jax.Array, ...], None]:
        picture, first = number // blocks, number % blocks * block
        slope = lax.dynamic_slice(slopes, (picture, first, 0, 0, 0), (1, block, *slopes.shape[2:]))[
            0
        ]
        pixels = lax.dynamic_slice(
            around, (picture, first * down, 0, 0), (1, deep, wide, channels)
        )[0]
        seen = [
            pixels[r : r + down * (block - 1) + 1 : down, s : s + right * (columns - 1) + 1 : right]
            for r in range(height)
            for s in range(width)
        ]
        return tuple(
            total + one[..., None] * slope for total, one in zip(sums, seen, strict=True)
        ), None

    zeros = manual.varying(jnp.zeros((block, *slopes.shape[2:]), x.dtype), slopes)
    sums, _ = lax.scan(step, (zeros,) * (height * width), jnp.arange(batch * blocks))
    return jnp.stack([jnp.sum(one, (0, 1)) for one in sums]).reshape(height, width, 1, outputs)


def _rows(rows: int, size: int) -> int:
    """Rows of a block: the largest divisor of `rows` that keeps to `BLOCK`; `size` bytes a row."""
    most = max(1, BLOCK // size)
    return max(count for count in range(1, min(most, rows) + 1) if rows % count == 0)
