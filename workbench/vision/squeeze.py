"""Squeeze-and-excitation: channels weighed by what the whole picture holds."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from workbench.vision.activations import ACTIVATIONS
from workbench.vision.layers import Conv


class SqueezeExcite(nnx.Module):
    """x gate(W₂ act(W₁ mean(x))) (Hu et al. 2018, eq. 2-4).

    Args:
        conv_reduce, conv_expand: W₁ and W₂, 1 x 1 with bias.
        activation: between them.
        gate: of the result.
    """

    def __init__(self, conv_reduce: Conv, conv_expand: Conv, *, activation: str, gate: str):
        self.conv_reduce, self.conv_expand = conv_reduce, conv_expand
        self.activation, self.gate = activation, gate

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """The weighed channels."""
        mean = jnp.mean(x, axis=(1, 2), keepdims=True)
        hidden = ACTIVATIONS[self.activation](self.conv_reduce(mean))
        weights = ACTIVATIONS[self.gate](self.conv_expand(hidden))
        return x * jnp.broadcast_to(weights, x.shape)
