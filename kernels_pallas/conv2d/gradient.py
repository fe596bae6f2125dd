"""The gradient of a convolution by its input is one in the same form; by its kernel, XLA's own."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas.conv2d import im2col, winograd, xla
from kernels_pallas.conv2d.window import Window

FORMS: dict[str, Any] = {
    "im2col": im2col.conv2d,
    "winograd": winograd.conv2d,
    "winograd_4x4": functools.partial(winograd.conv2d, filtering=winograd.F4),
}
"""Forms that XLA would differentiate into sums over overlapping slices."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def conv2d(form: str, window: Window, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x * kernel in one of `FORMS`; half precision is computed in float32."""
    found: jax.Array = FORMS[form](wide(x), wide(kernel), window)
    return found.astype(x.dtype)


def _saved(form: str, window: Window, x: jax.Array, kernel: jax.Array) -> Any:
    return conv2d(form, window, x, kernel), (x, kernel)


def _backward(form: str, window: Window, saved: Any, out: jax.Array) -> Any:
    x, kernel = saved
    pixels, taps, gradient = wide(x), wide(kernel), wide(out)
    if window.strides == (1, 1):
        turned = jnp.swapaxes(taps[::-1, ::-1], 2, 3)
        d_x = FORMS[form](gradient, turned, window.reversed(kernel.shape[:2]))
    else:
        transpose = jax.linear_transpose(lambda x: xla.conv2d(x, taps, window), pixels)
        (d_x,) = transpose(gradient)
    (d_kernel,) = jax.linear_transpose(lambda taps: xla.conv2d(pixels, taps, window), taps)(
        gradient
    )
    return d_x.astype(x.dtype), d_kernel.astype(kernel.dtype)


conv2d.defvjp(_saved, _backward)


def wide(array: jax.Array) -> jax.Array:
    """Half precision has no fast products on a CPU, and transforms would round in it."""
    return array.astype(jnp.float32) if jnp.finfo(array.dtype).bits < 32 else array
