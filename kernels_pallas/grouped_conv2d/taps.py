"""A grouped convolution as one multiply-add for each tap and input channel of a group.

    depthwise   y = sum over r, s of shifted(x, r, s) * kernel[r, s]
    width G     y[.., j, k] = sum over r, s, c of shifted(x, r, s)[.., j, c] * kernel[r, s, c, j, k]

XLA fuses the sum into one loop over pixels and channels: nothing is copied for it but the padded
picture.
"""

from __future__ import annotations

import jax
from jax import lax

from kernels_pallas.conv2d.im2col import patches
from kernels_pallas.conv2d.window import Window


def grouped_conv2d(x: jax.Array, kernel: jax.Array, *, groups: int, window: Window) -> jax.Array:
    """R S G terms of the size of the result, added in one loop."""
    height, width, inputs, outputs = kernel.shape
    weights = kernel.reshape(height * width, inputs, 1, 1, 1, groups, outputs // groups)
    # Padding inside the loop would be a branch for every element.
    around = lax.optimization_barrier(window.padded(x))
    inside = Window(window.strides, ((0, 0), (0, 0)))
    total = None
    for shifted, tap in zip(patches(around, (height, width), inside), weights, strict=True):
        pixels = shifted.reshape(*shifted.shape[:3], groups, inputs)
        for channel in range(inputs):
            term = pixels[..., channel : channel + 1] * tap[channel]
            total = term if total is None else total + term
    assert total is not None
    return total.reshape(*total.shape[:3], outputs)
