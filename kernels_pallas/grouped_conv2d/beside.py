"""Neighbouring pixels as one: a kernel that slides over q pixels of a row at once.

    out[p, q i + b, m] = sum over r, s, c of x[p + r, q i + s, c] kernel[r, s - b, c, m]

Of every group that is one convolution with q M results, S + (q - 1) t taps a row and a stride of
q t, where t is its own stride: the kernel holds q copies of the group's, each t taps further to the
right. A pixel's surroundings are read once for q results, where a convolution of few channels reads
them for each, and results fill a CPU's vector unit. Zero times what is not a number is not a
number either: such a pixel spoils results that are taken together with those it belongs to.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.conv2d import xla
from kernels_pallas.conv2d.window import Window
from kernels_pallas.grouped_conv2d import per_group

FORMS = {"beside_2": 2, "beside_3": 3, "beside_4": 4}
"""Pixels taken together."""


def grouped_conv2d(
    x: jax.Array, kernel: jax.Array, *, groups: int, window: Window, pixels: int
) -> jax.Array:
    """One group after the other, `pixels` results of a row at once."""
    columns = window.outputs(x.shape[1:3], kernel.shape[:2])[1]
    wide = -(-columns // pixels)
    down, right = window.strides
    (rows, (left, over)) = window.padding
    needed = (pixels * wide - 1) * right + kernel.shape[1]
    missing = needed - (left + x.shape[2] + over)
    together = Window((down, right * pixels), (rows, (left, over + missing)))

    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        found = xla.conv2d(x, side_by_side(kernel, pixels, right), together)
        batch, high, _, _ = found.shape
        return found.reshape(batch, high, wide * pixels, -1)[:, :, :columns]

    return per_group.each(convolve, x, kernel, groups)


def side_by_side(kernel: jax.Array, pixels: int, stride: int) -> jax.Array:
    """A group's kernel [R, S, G, M] as [R, S + (q - 1) t, G, q M]: copy b lies b strides on."""
    last = (pixels - 1) * stride
    copies = [
        jnp.pad(kernel, ((0, 0), (after, last - after), (0, 0), (0, 0)))
        for after in range(0, last + 1, stride)
    ]
    return jnp.concatenate(copies, axis=3)
