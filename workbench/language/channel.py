"""What mixes channels: the gated feed-forward layer all these models share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from workbench.language.linear import MakeLinear


class SwiGLU(nnx.Module):
    """W_down (silu(W_gate x) * W_up x) (Shazeer 2020, eq. 6).

    Args:
        width: of the model.
        inner: of the hidden layer.
        linear: makes the projections.
    """

    def __init__(self, width: int, inner: int, *, linear: MakeLinear, dtype: Any, rngs: Any):
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.gate_proj = linear(width, inner, **kind)
        self.up_proj = linear(width, inner, **kind)
        self.down_proj = linear(inner, width, **kind)

    def __call__(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
        """The layer's output."""
        return self.down_proj(jax.nn.silu(self.gate_proj(x)) * self.up_proj(x))


class FusedSwiGLU(nnx.Module):
    """`SwiGLU` whose gate and up are the two halves of one product, as MatMul-free LM has it.

    For ternary projections that is another layer: both halves have one norm and one scale.

    Args:
        width: of the model.
        inner: of the hidden layer.
        layers: of the model; the first `down_proj` is smaller by sqrt(2 `layers`) (Radford et al.
            2019, section 2.3).
        linear: makes the projections.
    """

    def __init__(
        self, width: int, inner: int, layers: int, *, linear: MakeLinear, dtype: Any, rngs: Any
    ):
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.gate_proj = linear(width, 2 * inner, **kind)
        self.down_proj = linear(inner, width, **kind)
        self.down_proj.kernel[...] /= (2 * layers) ** 0.5

    def __call__(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
        """The layer's output."""
        gate, up = jnp.split(self.gate_proj(x), 2, axis=-1)
        return self.down_proj(_gated(gate, up))


@jax.checkpoint
def _gated(gate: Float[Array, "... I"], up: Float[Array, "... I"]) -> Float[Array, "... I"]:
    """silu(gate) up, of which the backward pass keeps the two factors alone, as the release has it.

    On CPU XLA joins what is computed again with what was computed before, so that nothing is saved
    there, and nothing lost.
    """
    return jax.nn.silu(gate) * up


def inner_width(width: int, multiple: int = 256) -> int:
    """8/3 of the width, rounded up to a multiple: the hidden layer of the published models."""
    return -(-int(8 * width / 3) // multiple) * multiple
