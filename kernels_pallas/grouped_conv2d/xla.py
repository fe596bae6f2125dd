"""XLA's own grouped convolution: the form of GPUs, and of a CPU where it is the fastest."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from kernels_pallas import dispatch
from kernels_pallas.conv2d.window import Window


def grouped_conv2d(x: jax.Array, kernel: jax.Array, *, groups: int, window: Window) -> jax.Array:
    """The convolution as one primitive; a CPU computes half precision in float32."""
    dtype = x.dtype
    if dispatch.current_target().platform == "cpu" and jnp.finfo(dtype).bits < 32:
        x, kernel = x.astype(jnp.float32), kernel.astype(jnp.float32)
    found = lax.conv_general_dilated(
        x,
        kernel,
        window.strides,
        window.padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    return found.astype(dtype)
