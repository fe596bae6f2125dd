"""HGRN2: a gated linear RNN with a matrix for a state (Qin et al. 2024, arXiv 2404.07904)."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from kernels_pallas import gated_linear_attention, gated_linear_attention_step
from workbench.language.linear import MakeLinear, RMSNorm
from workbench.language.mixers.gla import chunked_macs
from workbench.language.mixing import NO_CONTEXT, Context, MixerConfig, State, TokenMixer


class HGRN2Config(MixerConfig):
    """Shape of an HGRN2 layer."""

    kind: ClassVar[str] = "hgrn2"

    expand_ratio: int = Field(128, ge=1, description="width of a head, and rows of its state")

    @property
    def bounded(self) -> bool:
        """Its gates are never below a learned bound."""
        return True

    def build(
        self, width: int, layer: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ) -> HGRN2:
        """The layer."""
        return HGRN2(self, width, linear=linear, eps=eps, dtype=dtype, rngs=rngs)

    def heads(self, width: int) -> int:
        """How many heads there are.

        Raises:
            ValueError: a width of no whole number of heads.
        """
        if width % self.expand_ratio:
            raise ValueError(
                f"expand_ratio={self.expand_ratio} does not divide hidden_size={width}"
            )
        return width // self.expand_ratio

    def state_bytes(self, width: int, length: int, cache_bytes: int = 4) -> int:
        """D K float32 numbers, however long the text."""
        return 4 * self.heads(width) * self.expand_ratio**2

    def macs(self, width: int, length: int) -> float:
        """In chunks of C = 64 tokens, where gates are mild: H (3 C K + 2 K^2)."""
        size = self.expand_ratio
        return self.heads(width) * chunked_macs(size, size, length, "one_level")


class HGRN2(TokenMixer):
    """S_t = Diag(f_t) S_{t-1} + (1 - f_t) i_t^T, y_t = W_o norm(S_t^T q_t / sqrt(K)) (section 3.2).

    f_t = b + (1 - b) sigmoid(W_f x_t) with the layer's lower bound b, q_t = silu(W_q x_t),
    i_t = W_i x_t; the scale of q is flash-linear-attention's.
    """

    def __init__(
        self,
        config: HGRN2Config,
        width: int,
        *,
        linear: MakeLinear,
        eps: float,
        dtype: Any,
        rngs: Any,
    ):
        self.config, self.dtype = config, dtype
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.sizes = (config.heads(width), config.expand_ratio)
        self.q_proj = linear(width, width, **kind)
        self.f_proj = linear(width, width, **kind)
        self.i_proj = linear(width, width, **kind)
        self.g_norm = RMSNorm(width, eps=eps)
        self.o_proj = linear(width, width, **kind)

    def __call__(
        self, x: Float[Array, "B T D"], state: State = None, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B T D"], State]:
        """By chunks, as gated linear attention."""
        o, after = gated_linear_attention(
            *self._heads(x, context), initial_state=state, segment_ids=context.segment_ids
        )
        return self._output(o), None if state is None else after

    def initial_state(self, batch: int, length: int) -> Float[Array, "B H K K"]:
        """Zeros."""
        heads, size = self.sizes
        return jnp.zeros((batch, heads, size, size))

    def step(
        self, x: Float[Array, "B D"], state: State, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B D"], State]:
        """The recurrence itself."""
        o, state = gated_linear_attention_step(*self._heads(x, context), state)
        return self._output(o), state

    def _heads(
        self, x: Float[Array, "... D"], context: Context
    ) -> tuple[Array, Array, Array, Array]:
        logits = self.f_proj(x).astype(jnp.float32)
        log_forget, write = gates(logits, context.lower_bound)
        q, value = jax.nn.silu(self.q_proj(x)), self.i_proj(x)
        parts = (q, write.astype(q.dtype), value, log_forget)
        q, k, v, log_decay = (part.reshape(*x.shape[:-1], *self.sizes) for part in parts)
        return q, k, v, log_decay

    def _output(self, o: Float[Array, "... H K"]) -> Array:
        return self.o_proj(self.g_norm(o.reshape(*o.shape[:-2], -1)))


def gates(
    logits: Float[Array, "... D"], lower_bound: Float[Array, " D"] | None
) -> tuple[Float[Array, "... D"], Float[Array, "... D"]]:
    """log f and 1 - f, of f = b + (1 - b) sigmoid(logits), exact for strong gates too.

    log f = log(b + e^x) - log(1 + e^x), and 1 - f = (1 - b) sigmoid(-x).

    Args:
        logits: x.
        lower_bound: b, below 1; none is 0.
    """
    if lower_bound is None:
        return jax.nn.log_sigmoid(logits), jax.nn.sigmoid(-logits)
    bound = lower_bound.reshape((1,) * (logits.ndim - 1) + lower_bound.shape)
    # The first layer's bound is 0 whatever is learned; log 0 would make its gradient NaN.
    positive = bound > 0
    log_bound = jnp.where(positive, jnp.log(jnp.where(positive, bound, 1.0)), -jnp.inf)
    log_bound = jnp.broadcast_to(log_bound, logits.shape)
    log_forget = jnp.logaddexp(log_bound, logits) - jax.nn.softplus(logits)
    return log_forget, (1 - bound) * jax.nn.sigmoid(-logits)
