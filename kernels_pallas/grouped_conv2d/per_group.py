"""A grouped convolution as a loop over groups, each a convolution of its own.

On a CPU a convolution without groups is XLA's fastest, with groups one of its slowest: from eight
channels a group on, a loop is two to four times as fast. It copies a group's channels out of the
picture and its results into it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

from kernels_pallas.conv2d import xla
from kernels_pallas.conv2d.window import Window


def grouped_conv2d(x: jax.Array, kernel: jax.Array, *, groups: int, window: Window) -> jax.Array:
    """The convolutions one after the other, written side by side."""
    rows, columns = window.outputs(x.shape[1:3], kernel.shape[:2])

    def group(number: jax.Array, out: jax.Array) -> jax.Array:
        part = xla.conv2d(_of(x, number, groups), _of(kernel, number, groups), window)
        return _put(out, part, number)

    shape = (x.shape[0], rows, columns, kernel.shape[3])
    return lax.fori_loop(0, groups, group, lax.empty(shape, x.dtype))


def gradient_of_kernel(
    x: jax.Array, gradient: jax.Array, kernel: jax.Array, *, groups: int, window: Window
) -> jax.Array:
    """[R, S, G, K], group by group.

    Args:
        x: pictures [B, H, W, C].
        gradient: of the result, [B, h, w, K].
        kernel: [R, S, G, K], for its shape.
        groups, window: of the convolution.
    """
    height, width, inputs, outputs = kernel.shape
    shape = jax.ShapeDtypeStruct((height, width, inputs, outputs // groups), kernel.dtype)

    def group(number: jax.Array, out: jax.Array) -> jax.Array:
        pixels = _of(x, number, groups)
        transpose: Callable[[jax.Array], Any] = jax.linear_transpose(
            lambda part: xla.conv2d(pixels, part, window), shape
        )
        return _put(out, transpose(_of(gradient, number, groups))[0], number)

    return lax.fori_loop(0, groups, group, lax.empty(kernel.shape, kernel.dtype))


def _of(array: jax.Array, number: jax.Array, groups: int) -> jax.Array:
    """The channels of one group: its share of the last axis."""
    size = array.shape[-1] // groups
    return lax.dynamic_slice_in_dim(array, number * size, size, array.ndim - 1)


def _put(out: jax.Array, part: jax.Array, number: jax.Array) -> jax.Array:
    return lax.dynamic_update_slice_in_dim(out, part, number * part.shape[-1], part.ndim - 1)
