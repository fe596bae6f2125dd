"""The definition of a convolution, in few lines: the oracle for every other form."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.conv2d.window import Window
from kernels_pallas.dtypes import accumulator


def conv2d(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """The sum over taps of shifted pictures times a matrix; float64 stays float64."""
    wide = accumulator(x.dtype)
    height, width = kernel.shape[:2]
    rows, columns = window.outputs(x.shape[1:3], (height, width))
    down, right = window.strides
    padded = window.padded(x.astype(wide))
    total = jnp.zeros((x.shape[0], rows, columns, kernel.shape[3]), wide)
    for r in range(height):
        for s in range(width):
            seen = padded[:, r : r + down * (rows - 1) + 1 : down]
            seen = seen[:, :, s : s + right * (columns - 1) + 1 : right]
            tap = kernel[r, s].astype(wide)
            total += jnp.einsum("bhwc,ck->bhwk", seen, tap, precision="highest")
    return total.astype(x.dtype)
