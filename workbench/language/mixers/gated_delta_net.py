"""Gated DeltaNet: the delta rule with a gate that forgets (Yang et al. 2024, arXiv 2412.06464)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from workbench.language.linear import MakeLinear, dense
from workbench.language.mixers.delta_net import DeltaNet, Heads
from workbench.language.mixing import MixerConfig

MOST_DECAY = 16.0
"""Of the first weights' decay rates, uniform from just above 0."""

STEPS = (1e-3, 1e-1)
"""Between which the first weights' steps softplus(dt_bias) lie, log-uniform."""


class GatedDeltaNetConfig(MixerConfig):
    """Shape of a Gated DeltaNet layer; its heads' widths do not follow the model's."""

    kind: ClassVar[str] = "gated_delta_net"
    use_beta: ClassVar[bool] = True

    num_heads: int = Field(6, ge=1, description="heads of queries and keys")
    num_v_heads: int | None = Field(None, ge=1, description="heads of values; num_heads when None")
    head_dim: int = Field(256, ge=1, description="width of a key")
    expand_v: float = Field(2.0, gt=0, description="width of a value over a key's")
    use_gate: bool = Field(True, description="whether the output has a gate")
    conv_size: int = Field(4, ge=2, description="tokens the convolutions see")
    allow_neg_eigval: bool = Field(
        False, description="whether strengths go to 2, and eigenvalues of a step to -1"
    )

    def build(
        self, width: int, layer: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ) -> GatedDeltaNet:
        """The layer."""
        return GatedDeltaNet(self, width, linear=linear, eps=eps, dtype=dtype, rngs=rngs)

    def heads(self, width: int) -> Heads:
        """Sizes of the layer, whatever the model's width.

        Raises:
            ValueError: heads of values that are no multiple, or a value of no whole width.
        """
        values, value = self.num_v_heads or self.num_heads, self.head_dim * self.expand_v
        if values % self.num_heads:
            raise ValueError(f"num_v_heads={values} is no multiple of num_heads={self.num_heads}")
        if value != int(value):
            raise ValueError(
                f"expand_v={self.expand_v} times head_dim={self.head_dim} is {value}, not whole"
            )
        return Heads(values, self.num_heads, self.head_dim, int(value))

    def state_bytes(self, width: int, length: int, cache_bytes: int = 4) -> int:
        """As `Heads` says."""
        return self.heads(width).state_bytes(self.conv_size)

    def macs(self, width: int, length: int) -> float:
        """As `Heads` says."""
        return self.heads(width).macs(length, self.conv_size)

    def token_macs(self, width: int, length: int) -> float:
        """As `Heads` says."""
        return self.heads(width).token_macs(self.conv_size)


class GatedDeltaNet(DeltaNet):
    """S_t = a_t (I - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T (eq. 10), else as `DeltaNet`."""

    def __init__(
        self,
        config: GatedDeltaNetConfig,
        width: int,
        *,
        linear: MakeLinear,
        eps: float,
        dtype: Any,
        rngs: Any,
    ):
        super().__init__(config, width, linear=linear, eps=eps, dtype=dtype, rngs=rngs)
        heads = self.sizes.values
        self.a_proj = dense(linear)(width, heads, dtype=dtype, rngs=rngs)
        rates = jax.random.uniform(rngs.params(), (heads,), minval=1e-3, maxval=MOST_DECAY)
        self.A_log = nnx.Param(jnp.log(rates))
        low, high = (math.log(step) for step in STEPS)
        steps = jnp.exp(jax.random.uniform(rngs.params(), (heads,), minval=low, maxval=high))
        self.dt_bias = nnx.Param(steps + jnp.log(-jnp.expm1(-steps)))  # softplus backwards

    def log_decay(self, x: Float[Array, "... D"]) -> Float[Array, "... H"]:
        """log a_t = -exp(A_log) softplus(W_a x_t + dt_bias), as Mamba-2 has it; float32."""
        each = (1,) * (x.ndim - 1) + (-1,)
        logits = self.a_proj(x).astype(jnp.float32) + self.dt_bias[...].reshape(each)
        return -jnp.exp(self.A_log[...]).reshape(each) * jax.nn.softplus(logits)
