"""The convolutions of all networks here: dense, grouped and depthwise."""

from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from kernels_pallas.conv2d import conv2d
from kernels_pallas.grouped_conv2d import grouped_conv2d

Padding = int | Literal["same"]
"""Zeros on every side, or TensorFlow's ceil(size / stride) outputs, the odd zeros last."""


def convolve(
    x: Float[Array, "B H W C"],
    kernel: Float[Array, "R S G K"],
    *,
    stride: int = 1,
    groups: int = 1,
    padding: Padding = 0,
    implementation: str = "auto",
) -> Float[Array, "B h w K"]:
    """Cross-correlation of each group's G = C / groups channels with its K / groups kernels.

    Args:
        x: pictures.
        kernel: of the dtype of `x`.
        stride: pixels from one output to the next.
        groups: 1 is dense, C depthwise.
        padding: pixels around, or "same".
        implementation: of the ops of `kernels_pallas`.
    """
    if groups == 1 and kernel.shape[:2] == (1, 1) and padding in (0, "same"):
        return jnp.einsum("bhwc,ck->bhwk", x[:, ::stride, ::stride], kernel[0, 0])
    around = "SAME" if padding == "same" else padding
    how: dict[str, Any] = {"strides": stride, "padding": around, "implementation": implementation}
    if groups > 1:
        return grouped_conv2d(x, kernel, groups=groups, **how)
    return conv2d(x, kernel, **how)
