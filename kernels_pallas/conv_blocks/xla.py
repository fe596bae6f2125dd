"""The blocks one layer after the other: the form of every device, as fast as its parts."""

from __future__ import annotations

import jax

from kernels_pallas.conv2d.window import Window
from kernels_pallas.conv_blocks.weights import ACTIVATIONS, BlockWeights, added, flat
from kernels_pallas.grouped_conv2d import grouped_conv2d


def convfirst_block(
    x: jax.Array,
    weights: BlockWeights,
    *,
    groups: int,
    window: Window,
    activation: str,
    residual: bool,
    implementation: str = "auto",
) -> jax.Array:
    """x + project(act(expand(conv(x)))); `implementation` is that of the grouped convolution."""
    middle = added(_conv(x, weights.kernel, groups, window, implementation), weights.kernel_bias)
    hidden = ACTIVATIONS[activation](added(flat(middle, weights.expand), weights.expand_bias))
    out = added(flat(hidden.astype(x.dtype), weights.project), weights.project_bias)
    return (out + x.astype(out.dtype) if residual else out).astype(x.dtype)


def mbconv_block(
    x: jax.Array,
    weights: BlockWeights,
    *,
    groups: int,
    window: Window,
    activation: str,
    residual: bool,
    implementation: str = "auto",
) -> jax.Array:
    """x + project(act(conv(act(expand(x))))), the convolution at the hidden width."""
    act = ACTIVATIONS[activation]
    hidden = act(added(flat(x, weights.expand), weights.expand_bias)).astype(x.dtype)
    seen = _conv(hidden, weights.kernel, groups, window, implementation)
    middle = act(added(seen, weights.kernel_bias)).astype(x.dtype)
    out = added(flat(middle, weights.project), weights.project_bias)
    return (out + x.astype(out.dtype) if residual else out).astype(x.dtype)


def _conv(
    x: jax.Array, kernel: jax.Array, groups: int, window: Window, implementation: str
) -> jax.Array:
    return grouped_conv2d(
        x,
        kernel,
        groups=groups,
        strides=window.strides,
        padding=window.padding,
        implementation=implementation,
    )
