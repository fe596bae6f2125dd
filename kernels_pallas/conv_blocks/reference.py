"""The definition of the blocks, in few lines: the oracle for every other form."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.conv2d.window import Window
from kernels_pallas.conv_blocks.weights import ACTIVATIONS, BlockWeights
from kernels_pallas.dtypes import accumulator
from kernels_pallas.grouped_conv2d import reference


def convfirst_block(
    x: jax.Array,
    weights: BlockWeights,
    *,
    groups: int,
    window: Window,
    activation: str,
    residual: bool,
) -> jax.Array:
    """x + project(act(expand(conv(x)))), all in float32 or float64."""
    wide, w = _wide(x, weights)
    z = _biased(reference.grouped_conv2d(wide, w.kernel, groups=groups, window=window), w[1])
    hidden = ACTIVATIONS[activation](_biased(_layer(z, w.expand), w.expand_bias))
    out = _biased(_layer(hidden, w.project), w.project_bias)
    return (out + wide if residual else out).astype(x.dtype)


def mbconv_block(
    x: jax.Array,
    weights: BlockWeights,
    *,
    groups: int,
    window: Window,
    activation: str,
    residual: bool,
) -> jax.Array:
    """x + project(act(conv(act(expand(x))))), all in float32 or float64."""
    wide, w = _wide(x, weights)
    act = ACTIVATIONS[activation]
    hidden = act(_biased(_layer(wide, w.expand), w.expand_bias))
    z = reference.grouped_conv2d(hidden, w.kernel, groups=groups, window=window)
    out = _biased(_layer(act(_biased(z, w.kernel_bias)), w.project), w.project_bias)
    return (out + wide if residual else out).astype(x.dtype)


def _wide(x: jax.Array, weights: BlockWeights) -> tuple[jax.Array, BlockWeights]:
    dtype = accumulator(x.dtype)
    return x.astype(dtype), BlockWeights(*(one.astype(dtype) for one in weights))


def _layer(x: jax.Array, matrix: jax.Array) -> jax.Array:
    return jnp.einsum("bhwc,ck->bhwk", x, matrix, precision="highest")


def _biased(x: jax.Array, bias: jax.Array) -> jax.Array:
    return x + bias[None, None, None]
