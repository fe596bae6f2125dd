"""The gradient to x at any stride: a convolution at stride 1 for each phase of the input.

Where a kernel steps by t pixels, an input row y meets only the taps r with (y + above - r)
divisible by t. Rows that meet the same taps are a phase: their gradient is the result's gradient
convolved with every t-th row of the kernel, turned around. No zeros are put between pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from kernels_pallas.conv2d.window import Window

Convolution = Callable[[jax.Array, jax.Array, Window], jax.Array]


def turned(kernel: jax.Array, groups: int) -> jax.Array:
    """The kernel [R, S, G, K] with taps turned around and channels swapped, [R, S, K/g, C]."""
    height, width, inputs, outputs = kernel.shape
    parts = kernel[::-1, ::-1].reshape(height, width, inputs, groups, outputs // groups)
    return parts.transpose(0, 1, 4, 3, 2).reshape(height, width, outputs // groups, -1)


def gradient_of_x(
    convolve: Convolution,
    gradient: jax.Array,
    kernel: jax.Array,
    *,
    groups: int,
    window: Window,
    pixels: Sequence[int],
) -> jax.Array:
    """[B, H, W, C].

    Args:
        convolve: a form, of pictures, kernel and window.
        gradient: of the result, [B, h, w, K].
        kernel: [R, S, G, K].
        groups: of channels.
        window: of the convolution.
        pixels: H and W.
    """
    if window.strides == (1, 1):
        return convolve(gradient, turned(kernel, groups), window.reversed(kernel.shape[:2]))
    down, right = window.strides
    (above, below), (left, right_side) = window.padding
    rows, columns = pixels[0] + above + below, pixels[1] + left + right_side
    size = -(-rows // down), -(-columns // right)
    phases = [
        [_phase(convolve, gradient, kernel[a::down, b::right], groups, size) for b in range(right)]
        for a in range(down)
    ]
    joined = jnp.stack([jnp.stack(row, 3) for row in phases], 2)  # B, U, down, V, right, C
    whole = joined.reshape(gradient.shape[0], size[0] * down, size[1] * right, -1)
    return lax.slice_in_dim(
        lax.slice_in_dim(whole, above, above + pixels[0], axis=1), left, left + pixels[1], axis=2
    )


def _phase(
    convolve: Convolution,
    gradient: jax.Array,
    kernel: jax.Array,
    groups: int,
    size: tuple[int, int],
) -> jax.Array:
    """What the pixels of one phase get, [B, *size, C]; zeros where no tap meets them."""
    taps = kernel.shape[:2]
    if 0 in taps:
        return jnp.zeros((gradient.shape[0], *size, kernel.shape[2] * groups), gradient.dtype)
    sides = [
        (tap - 1, out - grad)
        for tap, out, grad in zip(taps, size, gradient.shape[1:3], strict=True)
    ]
    return convolve(gradient, turned(kernel, groups), Window((1, 1), (sides[0], sides[1])))
