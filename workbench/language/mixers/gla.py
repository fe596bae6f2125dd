"""Gated linear attention (Yang et al. 2023, arXiv 2312.06635), as its authors released it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from kernels_pallas import gated_linear_attention, gated_linear_attention_step
from kernels_pallas.gated_linear_attention import cost
from workbench.language.linear import MakeLinear, RMSNorm, dense
from workbench.language.mixing import NO_CONTEXT, Context, MixerConfig, State, TokenMixer

Gate = Literal["channel", "scalar", "fixed", "none"]
# How the scores inside a chunk are computed with each.
SCHEMES = {"channel": "one_level", "scalar": "masked", "fixed": "masked", "none": "none"}


class GLAConfig(MixerConfig):
    """Shape of a gated linear attention layer.

    `gate` is the knob of the paper's ablation: "channel" is GLA, "scalar" one gate a head of the
    data, "fixed" RetNet's constants, "none" forgets nothing. The sources at hand do not say how the
    scalar gate is made of x; one product with a bias under the same normaliser is ours. Nothing
    stands in for the parameters a smaller gate saves (24.5 d a layer, 0.2 % of the 340M model);
    where that is much, `published.ladder` matches whole models.
    """

    kind: ClassVar[str] = "gla"

    num_heads: int = Field(4, ge=1, description="heads")
    num_kv_heads: int | None = Field(None, ge=1, description="heads of keys, values and gates")
    expand_k: float = Field(0.5, gt=0, description="width of all keys over the model's")
    expand_v: float = Field(1.0, gt=0, description="width of all values over the model's")
    gate: Gate = Field("channel", description="what decays the state")
    gate_low_rank_dim: int = Field(16, ge=1, description="rank of the gate's projection")
    gate_logit_normalizer: float = Field(16.0, gt=0, description="temperature of the gates")
    clamp_min: float | None = Field(None, le=0, description="least log gate of one token")

    def build(
        self, width: int, layer: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ) -> GLA:
        """The layer."""
        return GLA(self, width, linear=linear, eps=eps, dtype=dtype, rngs=rngs)

    @property
    def kv_heads(self) -> int:
        """Heads of keys, values and gates."""
        return self.num_kv_heads or self.num_heads

    def head_sizes(self, width: int) -> tuple[int, int]:
        """Widths of a key and of a value.

        Raises:
            ValueError: heads that do not divide them.
        """
        if self.num_heads % self.kv_heads:
            raise ValueError(
                f"num_kv_heads={self.num_kv_heads} does not divide num_heads={self.num_heads}"
            )
        key, value = int(width * self.expand_k), int(width * self.expand_v)
        for name, size in (("expand_k", key), ("expand_v", value)):
            if not size or size % self.num_heads:
                raise ValueError(
                    f"num_heads={self.num_heads} does not divide {name} * hidden_size = {size}"
                )
        return key // self.num_heads, value // self.num_heads

    def state_bytes(self, width: int, length: int, cache_bytes: int = 4) -> int:
        """H K V float32 numbers, however long the text."""
        key, value = self.head_sizes(width)
        return 4 * self.num_heads * key * value

    def macs(self, width: int, length: int) -> float:
        """In chunks of C = 64 tokens: H (C (2 K + V) + 2 K V) with a gate a channel."""
        key, value = self.head_sizes(width)
        return self.num_heads * chunked_macs(key, value, length, SCHEMES[self.gate])


def chunked_macs(key: int, value: int, length: int, scheme: str) -> float:
    """Multiply-adds of one head for a token: C V + 2 K V, and the scores and sums of a scheme.

    Args:
        key, value: widths K and V.
        length: of the text; chunks have C = 64 tokens or, of a shorter text, all.
        scheme: of `kernels_pallas.gated_linear_attention.cost`.
    """
    chunk, how = min(64, length), cost.SCHEMES[scheme]
    return chunk * value + 2 * key * value + how.scores(chunk, key) + how.sums(chunk, key)


def fixed_log_decay(heads: int) -> Float[Array, " H"]:
    """log(1 - 2^(-5 - h)) of heads h = 0, 1, ... (Sun et al. 2023, arXiv 2307.08621, eq. 8)."""
    return jnp.asarray(np.log1p(-(2.0 ** (-5.0 - np.arange(heads)))), jnp.float32)


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
        heads, kv_heads = config.num_heads, config.kv_heads
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.sizes = (heads, kv_heads, key, value)
        self.q_proj = linear(width, heads * key, **kind)
        self.k_proj = linear(width, kv_heads * key, **kind)
        self.v_proj = linear(width, kv_heads * value, **kind)
        self.g_proj = linear(width, heads * value, **kind)
        if config.gate in ("channel", "scalar"):
            self.gk_proj: Any = self._new_gate(width, dense(linear), kind)
        self.g_norm_swish_gate = RMSNorm(value, eps=eps)
        self.o_proj = linear(heads * value, width, **kind)

    def _new_gate(self, width: int, linear: MakeLinear, kind: dict[str, Any]) -> Any:
        """Makes the gate's projections, dense where the others are ternary: 0.6 % of a layer."""
        config, (_, kv_heads, key, _) = self.config, self.sizes
        if config.gate == "scalar":
            return linear(width, kv_heads, bias=True, **kind)
        low = linear(width, config.gate_low_rank_dim, **kind)
        return nnx.List([low, linear(config.gate_low_rank_dim, kv_heads * key, bias=True, **kind)])

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

    def log_decay(self, x: Float[Array, "... D"]) -> Float[Array, ...] | None:
        """Log of the gates, float32; None where there are none.

        Returns:
            "channel": logsigmoid(W_2 W_1 x_t + b) / tau (section 4.4) [..., G, K]; "scalar": the
            same of W x_t + b [..., G]; "fixed": constants of the heads [H].
        """
        heads, kv_heads, key, _ = self.sizes
        if self.config.gate == "none":
            return None
        if self.config.gate == "fixed":
            return fixed_log_decay(heads)
        if self.config.gate == "scalar":
            return self._gates(self.gk_proj(x))
        low, high = self.gk_proj
        return self._gates(high(low(x))).reshape(*x.shape[:-1], kv_heads, key)

    def _gates(self, logits: Float[Array, "... N"]) -> Float[Array, "... N"]:
        log_gates = jax.nn.log_sigmoid(logits.astype(jnp.float32))
        log_gates = log_gates / self.config.gate_logit_normalizer
        least = self.config.clamp_min
        return log_gates if least is None else jnp.maximum(log_gates, least)

    def _heads(self, x: Float[Array, "... D"]) -> tuple[Array, Array, Array, Array | None]:
        heads, kv_heads, key, value = self.sizes
        before = x.shape[:-1]
        q = self.q_proj(x).reshape(*before, heads, key)
        k = self.k_proj(x).reshape(*before, kv_heads, key)
        v = self.v_proj(x).reshape(*before, kv_heads, value)
        return q, k, v, self.log_decay(x)

    def _output(self, o: Float[Array, "... H V"], x: Float[Array, "... D"]) -> Array:
        """W_o (norm(o) * silu(W_g x)) (section 4.4)."""
        gate = jax.nn.silu(self.g_proj(x)).reshape(o.shape)
        return self.o_proj((self.g_norm_swish_gate(o) * gate).reshape(*o.shape[:-2], -1))
