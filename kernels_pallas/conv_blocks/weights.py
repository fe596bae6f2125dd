"""Weights of a block of three convolutions, with batch norm folded into them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels_pallas.dtypes import accumulator


class BlockWeights(NamedTuple):
    """A grouped convolution and the two layers of a pointwise MLP.

    Args:
        kernel: of the grouped convolution, [R, S, channels of a group, channels].
        kernel_bias: [channels].
        expand: to the hidden width, [inputs, E].
        expand_bias: [E].
        project: back, [E, outputs].
        project_bias: [outputs].
    """

    kernel: jax.Array
    kernel_bias: jax.Array
    expand: jax.Array
    expand_bias: jax.Array
    project: jax.Array
    project_bias: jax.Array


def folded(
    weight: jax.Array,
    *,
    scale: jax.Array,
    bias: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    epsilon: float = 1e-5,
) -> tuple[jax.Array, jax.Array]:
    """W s and beta - mean s, s = gamma / sqrt(var + eps): a layer and the batch norm behind it.

    Args:
        weight: of a layer without a bias, its last axis the outputs.
        scale, bias, mean, variance: gamma, beta and the running statistics, [outputs].
        epsilon: as the norm has it.

    Returns:
        The layer's weight and bias that need no norm.
    """
    slope = scale * jax.lax.rsqrt(variance + epsilon)
    return weight * slope.reshape((1,) * (weight.ndim - 1) + slope.shape), bias - mean * slope


ACTIVATIONS = {
    "silu": jax.nn.silu,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "hard_swish": jax.nn.hard_swish,
}
"""Of the hidden layers, by name."""


def added(out: jax.Array, bias: jax.Array) -> jax.Array:
    """A bias [C] over pictures or rows, in the dtype of the sum."""
    return out + bias.astype(out.dtype).reshape((1,) * (out.ndim - 1) + bias.shape)


def flat(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """A layer over pixels, [.., inputs] @ [inputs, outputs], summed in float32 at least."""
    rows = x.reshape(-1, x.shape[-1])
    found = jnp.matmul(rows, matrix.astype(x.dtype), preferred_element_type=accumulator(x.dtype))
    return found.reshape(*x.shape[:-1], matrix.shape[1])
