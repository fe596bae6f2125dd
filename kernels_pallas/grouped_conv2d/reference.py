"""The definition of a grouped convolution, in few lines: the oracle for every other form."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.conv2d.im2col import patches
from kernels_pallas.conv2d.window import Window
from kernels_pallas.dtypes import accumulator


def grouped_conv2d(x: jax.Array, kernel: jax.Array, *, groups: int, window: Window) -> jax.Array:
    """The sum over taps of shifted pictures times a matrix a group; float64 stays float64."""
    wide = accumulator(x.dtype)
    height, width, inputs, outputs = kernel.shape
    matrices = kernel.astype(wide).reshape(height * width, inputs, groups, outputs // groups)
    seen = patches(x.astype(wide), (height, width), window)
    total = jnp.zeros((*seen[0].shape[:3], groups, outputs // groups), wide)
    for shifted, matrix in zip(seen, matrices, strict=True):
        pixels = shifted.reshape(*shifted.shape[:3], groups, inputs)
        total += jnp.einsum("bhwgc,cgk->bhwgk", pixels, matrix, precision="highest")
    return total.reshape(*total.shape[:3], outputs).astype(x.dtype)
