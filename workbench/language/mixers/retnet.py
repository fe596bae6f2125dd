"""Retention (Sun et al. 2023, arXiv 2307.08621), in the form of flash-linear-attention."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from kernels_pallas import gated_linear_attention, gated_linear_attention_step
from workbench.language.linear import MakeLinear, RMSNorm
from workbench.language.mixers.gla import chunked_macs, fixed_log_decay
from workbench.language.mixing import NO_CONTEXT, Context, MixerConfig, State, TokenMixer
from workbench.language.rotary import frequencies, rotated


class RetNetConfig(MixerConfig):
    """Shape of a multi-scale retention layer."""

    kind: ClassVar[str] = "retnet"

    num_heads: int = Field(8, ge=1, description="heads")
    expand_k: float = Field(1.0, gt=0, description="width of all keys over the model's")
    expand_v: float = Field(2.0, gt=0, description="width of all values over the model's")
    rope_theta: float = Field(10000.0, gt=0, description="base of the positions' wavelengths")

    def build(
        self, width: int, layer: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ) -> RetNet:
        """The layer."""
        return RetNet(self, width, linear=linear, eps=eps, dtype=dtype, rngs=rngs)

    def head_sizes(self, width: int) -> tuple[int, int]:
        """Widths of a key and of a value.

        Raises:
            ValueError: heads that do not divide them, or keys that cannot be turned in pairs.
        """
        key, value = round(width * self.expand_k), round(width * self.expand_v)
        for name, size, parts in (
            ("expand_k", key, 2 * self.num_heads),  # positions turn pairs
            ("expand_v", value, self.num_heads),
        ):
            if not size or size % parts:
                raise ValueError(
                    f"num_heads={self.num_heads}: {name} * hidden_size = {size} must be a multiple "
                    f"of {parts}"
                )
        return key // self.num_heads, value // self.num_heads

    def state_bytes(self, width: int, length: int, cache_bytes: int = 4) -> int:
        """H K V float32 numbers and a position, however long the text."""
        key, value = self.head_sizes(width)
        return 4 * self.num_heads * key * value + 4

    def macs(self, width: int, length: int) -> float:
        """In chunks of C = 64 tokens: H (C (K + V + C) + 2 K V)."""
        key, value = self.head_sizes(width)
        return self.num_heads * chunked_macs(key, value, length, "masked")


class RetNetState(NamedTuple):
    """What a retention layer keeps: sums of k v^T, and how many tokens it has seen."""

    memory: Float[Array, "B H K V"]
    position: Int[Array, " B"]


class RetNet(TokenMixer):
    """S_t = gamma_h S_{t-1} + k_t v_t^T, o_t = S_t^T q_t / sqrt(K), normed and gated.

    q and k are turned by their positions (section 2.1), and head h forgets at the constant rate
    gamma_h = 1 - 2^(-5 - h) (eq. 8).
    """

    def __init__(
        self,
        config: RetNetConfig,
        width: int,
        *,
        linear: MakeLinear,
        eps: float,
        dtype: Any,
        rngs: Any,
    ):
        self.config, self.dtype = config, dtype
        key, value = config.head_sizes(width)
        heads = config.num_heads
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.sizes = (heads, key, value)
        self.q_proj = linear(width, heads * key, **kind)
        self.k_proj = linear(width, heads * key, **kind)
        self.v_proj = linear(width, heads * value, **kind)
        self.g_proj = linear(width, heads * value, **kind)
        self.g_norm_swish_gate = RMSNorm(value, eps=eps)
        self.o_proj = linear(heads * value, width, **kind)

    def __call__(
        self, x: Float[Array, "B T D"], state: State = None, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B T D"], State]:
        """By chunks (section 2.3). Between segments positions run on: only distances count."""
        batch, time, _ = x.shape
        first = jnp.zeros(batch, jnp.int32) if state is None else state.position
        q, k, v = self._heads(x, first[:, None] + jnp.arange(time, dtype=jnp.int32)[None])
        o, memory = gated_linear_attention(
            q,
            k,
            v,
            fixed_log_decay(self.sizes[0]),
            initial_state=None if state is None else state.memory,
            segment_ids=context.segment_ids,
        )
        after = None if state is None else RetNetState(memory, first + time)
        return self._output(o, x), after

    def initial_state(self, batch: int, length: int) -> RetNetState:
        """Zeros."""
        heads, key, value = self.sizes
        return RetNetState(jnp.zeros((batch, heads, key, value)), jnp.zeros(batch, jnp.int32))

    def step(
        self, x: Float[Array, "B D"], state: State, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B D"], State]:
        """The recurrence itself (eq. 6)."""
        q, k, v = self._heads(x[:, None], state.position[:, None])
        decay = fixed_log_decay(self.sizes[0])
        o, memory = gated_linear_attention_step(q[:, 0], k[:, 0], v[:, 0], decay, state.memory)
        return self._output(o, x), RetNetState(memory, state.position + 1)

    def _heads(
        self, x: Float[Array, "B T D"], positions: Int[Array, "B T"]
    ) -> tuple[Array, Array, Array]:
        heads, key, value = self.sizes
        turns = frequencies(key, self.config.rope_theta)
        q = self.q_proj(x).reshape(*x.shape[:2], heads, key)
        k = self.k_proj(x).reshape(*x.shape[:2], heads, key)
        v = self.v_proj(x).reshape(*x.shape[:2], heads, value)
        return rotated(q, positions, turns), rotated(k, positions, turns), v

    def _output(self, o: Float[Array, "... H V"], x: Float[Array, "... D"]) -> Array:
        """W_o (norm(o) * silu(W_g x)) (eq. 9)."""
        gate = jax.nn.silu(self.g_proj(x)).reshape(o.shape)
        return self.o_proj((self.g_norm_swish_gate(o) * gate).reshape(*o.shape[:-2], -1))
