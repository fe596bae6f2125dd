"""A grouped convolution as a loop over groups, each a convolution of its own.

On a CPU a convolution without groups is XLA's fastest, with groups one of its slowest: from eight
channels a group on, a loop is faster. It copies a group's channels out of the
picture and its results into it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

from kernels_pallas import manual
from kernels_pallas.conv2d import xla
from kernels_pallas.conv2d.window import Window


def grouped_conv2d(x: jax.Array, kernel: jax.Array, *, groups: int, window: Window) -> jax.Array:
    """The convolutions one after the other, written side by side."""
    return each(lambda pixels, part: xla.conv2d(pixels, part, window), x, kernel, groups)


def each(
    convolve: Callable[[jax.Array, jax.Array], jax.Array],
    x: jax.Array,
    kernel: jax.Array,
    groups: int,
) -> jax.Array:
    """Results of a convolution of every group, side by side along the channels.

    Args:
        convolve: a group's pictures [B, H, W, G] and kernel [R, S, G, M].
        x, kernel: of all groups.
        groups: how many there are; one is convolved as it is.
    """
    if groups == 1:
        return convolve(x, kernel)

    def group(number: Any) -> jax.Array:
        return convolve(_of(x, number, groups), _of(kernel, number, groups))

    *pictures, _ = jax.eval_shape(group, 0).shape
    return lax.fori_loop(
        0,
        groups,
        lambda number, out: _put(out, group(number), number),
        manual.varying(lax.empty((*pictures, kernel.shape[3]), x.dtype), x),
    )


def gradient_of_kernel(
    x: jax.Array, gradient: jax.Array, kernel: jax.Array, *, groups: int, window: Window
) -> jax.Array:
    """[R, S, G, K], group by group.

    Args:
        x: pictures [B, H, W, C].
        gradient: of the result, [B, h, w, K].
        kernel: [R, S, G, K], for the type of its gradient.
        groups, window: of the convolution.
    """
    like = jax.eval_shape(lambda: _of(kernel, 0, groups))

    def transposed(pixels: jax.Array, slopes: jax.Array) -> jax.Array:
        convolve: Any = jax.linear_transpose(lambda part: xla.conv2d(pixels, part, window), like)
        found: jax.Array = convolve(slopes)[0]
        return found

    return each(transposed, x, gradient, groups)


def _of(array: jax.Array, number: jax.Array | int, groups: int) -> jax.Array:
    """The channels of one group: its share of the last axis."""
    size = array.shape[-1] // groups
    return lax.dynamic_slice_in_dim(array, number * size, size, array.ndim - 1)


def _put(out: jax.Array, part: jax.Array, number: jax.Array) -> jax.Array:
    return lax.dynamic_update_slice_in_dim(out, part, number * part.shape[-1], part.ndim - 1)
