"""Gated linear attention (Yang et al. 2023, arXiv 2312.06635), as its authors released it."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from kernels_pallas import gated_linear_attention, gated_linear_attention_step
from workbench.language.linear import Linear, MakeLinear, RMSNorm
from workbench.language.mixing import NO_CONTEXT, Context, MixerConfig, State, TokenMixer


class GLAConfig(MixerConfig):
    """Shape of a gated linear attention layer."""

    kind: ClassVar[str] = "gla"

    num_heads: int = Field(4, ge=1, description="heads")
    num_kv_heads: int | None = Field(None, ge=1, description="heads of keys, values and gates")
    expand_k: float = Field(0.5, gt=0, description="width of all keys over the model's")
    expand_v: float = Field(1.0, gt=0, description="width of all values over the model's")
    gate_low_rank_dim: int = Field(16, ge=1, description="rank of the gate's projection")
    gate_logit_normalizer: float = Field(16.0, gt=0, description="temperature of the gates")

    def build(
        self, width: int, layer: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ) -> GLA:
        """The layer."""
        return GLA(self, width, linear=linear, eps=eps, dtype=dtype, rngs=rngs)

    def head_sizes(self, width: int) -> tuple[int, int]:
        """Widths of a key and of a value.

        Raises:
            ValueError: heads that do not divide them.
        """
        key, value = int(width * self.expand_k), int(width * self.expand_v)
        for name, size in (("expand_k", key), ("expand_v", value)):
            if size % self.num_heads:
                raise ValueError(
                    f"num_heads={self.num_heads} does not divide {name} * hidden_size = {size}"
                )
        return key // self.num_heads, value // self.num_heads

    def state_bytes(self, width: int, length: int, cache_bytes: int = 4) -> int:
        """H K V float32 numbers, however long the text."""
        key, value = self.head_sizes(width)
        return 4 * self.num_heads * key * value

    def macs(self, width: int, length: int) -> float:
        """Chunks of 64 tokens: H (C (2 K + V) + 2 K V)."""
        key, value = self.head_sizes(width)
        chunk = min(64, length)
        return self.num_heads * (chunk * (2 * key + value) + 2 * key * value)


class GLA(TokenMixer):
    """S_t = Diag(a_t) S_{t-1} + k_t v_t^T, o_t = S_t^T q_t / sqrt(K), normed and gated."""

    def __init__(
        self,
        config: GLAConfig,
        width: int,
        *,
        linear: MakeLinear,
        eps: float,
        dtype: Any,
        rngs: Any,
    ):
        self.config, self.dtype = config, dtype
        key, value = config.head_sizes(width)
        heads, kv_heads = config.num_heads, config.num_kv_heads or config.num_heads
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.sizes = (heads, kv_heads, key, value)
        self.q_proj = linear(width, heads * key, **kind)
        self.k_proj = linear(width, kv_heads * key, **kind)
        self.v_proj = linear(width, kv_heads * value, **kind)
        self.g_proj = linear(width, heads * value, **kind)
        self.gk_proj = nnx.List(
            [
                Linear(width, config.gate_low_rank_dim, **kind),
                Linear(config.gate_low_rank_dim, kv_heads * key, bias=True, **kind),
            ]
        )
        self.g_norm_swish_gate = RMSNorm(value, eps=eps)
        self.o_proj = linear(heads * value, width, **kind)

    def __call__(
        self, x: Float[Array, "B T D"], state: State = None, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B T D"], State]:
        """By chunks (section 3.3)."""
        q, k, v, log_decay = self._heads(x)
        o, after = gated_linear_attention(
            q, k, v, log_decay, initial_state=state, segment_ids=context.segment_ids
        )
        return self._output(o, x), None if state is None else after

    def initial_state(self, batch: int, length: int) -> Float[Array, "B H K V"]:
        """Zeros."""
        heads, _, key, value = self.sizes
        return jnp.zeros((batch, heads, key, value))

    def step(
        self, x: Float[Array, "B D"], state: State, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B D"], State]:
        """The recurrence itself (eq. 3)."""
        q, k, v, log_decay = self._heads(x)
        o, state = gated_linear_attention_step(q, k, v, log_decay, state)
        return self._output(o, x), state

    def log_decay(self, x: Float[Array, "... D"]) -> Float[Array, "... G K"]:
        """log a_t = logsigmoid(W_2 W_1 x_t + b) / tau (section 4.1), float32."""
        _, kv_heads, key, _ = self.sizes
        low, high = self.gk_proj
        logits = high(low(x)).astype(jnp.float32)
        gates = jax.nn.log_sigmoid(logits) / self.config.gate_logit_normalizer
        return gates.reshape(*x.shape[:-1], kv_heads, key)

    def _heads(self, x: Float[Array, "... D"]) -> tuple[Array, Array, Array, Array]:
        heads, kv_heads, key, value = self.sizes
        before = x.shape[:-1]
        q = self.q_proj(x).reshape(*before, heads, key)
        k = self.k_proj(x).reshape(*before, kv_heads, key)
        v = self.v_proj(x).reshape(*before, kv_heads, value)
        return q, k, v, self.log_decay(x)

    def _output(self, o: Float[Array, "... H V"], x: Float[Array, "... D"]) -> Array:
        """W_o (norm(o) * silu(W_g x))."""
        gate = jax.nn.silu(self.g_proj(x)).reshape(o.shape)
        return self.o_proj((self.g_norm_swish_gate(o) * gate).reshape(*o.shape[:-2], -1))
