"""A grouped convolution as one multiply-add for each tap and input channel of a group.

    depthwise   y = sum over r, s of shifted(x, r, s) * kernel[r, s]
    width G     y[.., j, k] = sum over r, s, c of shifted(x, r, s)[.., j, c] * kernel[r, s, c, j, k]

XLA fuses the sum into one loop over pixels and channels: nothing is copied for it but the padded
picture. Each multiply-add waits for the one before it, unless it belongs to another of some sums.
"""

from __future__ import annotations

import functools
import operator

import jax
from jax import lax

from kernels_pallas.conv2d.im2col import patches
from kernels_pallas.conv2d.window import Window
from kernels_pallas.grouped_conv2d import per_group

SUMS = 3
"""Sums that the terms take turns in: 1.4 times as fast as one at 36 and at 72 terms."""

BLOCKS = (32, 24, 16)
"""Channels of a block, the best first: whole vectors, few enough that their weights stay close."""


def grouped_conv2d(x: jax.Array, kernel: jax.Array, *, groups: int, window: Window) -> jax.Array:
    """R S G terms of the size of the result, added in one loop."""
    height, width, inputs, outputs = kernel.shape
    weights = kernel.reshape(height * width, inputs, 1, 1, 1, groups, outputs // groups)
    # Padding inside the loop would be a branch for every element.
    around = lax.optimization_barrier(window.padded(x))
    inside = Window(window.strides, ((0, 0), (0, 0)))
    terms = []
    for shifted, tap in zip(patches(around, (height, width), inside), weights, strict=True):
        pixels = shifted.reshape(*shifted.shape[:3], groups, inputs)
        terms += [pixels[..., c : c + 1] * tap[c] for c in range(inputs)]
    sums = [functools.reduce(operator.add, terms[n::SUMS]) for n in range(min(SUMS, len(terms)))]
    total = functools.reduce(operator.add, sums)
    return total.reshape(*total.shape[:3], outputs)


def in_blocks(x: jax.Array, kernel: jax.Array, *, groups: int, window: Window) -> jax.Array:
    """The same for a block of channels after the other: large kernels have weights for them alone.

    Channels that no block divides are taken at once.
    """
    inputs = kernel.shape[2]
    parts = [groups * inputs // size for size in BLOCKS if groups * inputs % size == 0]
    count = next((part for part in parts if groups % part == 0), 1)
    block = functools.partial(grouped_conv2d, groups=groups // count, window=window)
    return per_group.each(block, x, kernel, count)
