"""The gated recurrent unit without products of states (Zhu et al. 2024, arXiv 2406.02528)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int
from pydantic import Field

from kernels_pallas import gated_recurrence
from workbench.language.linear import MakeLinear, RMSNorm
from workbench.language.mixing import NO_CONTEXT, Context, MixerConfig, State, TokenMixer

GAIN = 2**-2.5
"""Of the uniform first weights of the four projections (Glorot & Bengio 2010, eq. 16)."""


class MLGRUConfig(MixerConfig):
    """Shape of an MLGRU layer, as wide as the model."""

    kind: ClassVar[str] = "mlgru"

    variant: Literal["released", "paper"] = Field(
        "released",
        description="the released weights' output and bounds, or section 3.3.1's equations",
    )
    use_lower_bound: bool = Field(
        True, description="whether forget gates have learned lower bounds (released variant)"
    )

    @property
    def bounded(self) -> bool:
        """The equations of the paper have no lower bounds."""
        return self.variant == "released" and self.use_lower_bound

    def build(
        self, width: int, layer: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ) -> MLGRU:
        """The layer."""
        return MLGRU(self, width, linear=linear, eps=eps, dtype=dtype, rngs=rngs)

    def state_bytes(self, width: int, length: int, cache_bytes: int = 4) -> int:
        """D float32 numbers, however long the text."""
        return 4 * width

    def macs(self, width: int, length: int) -> float:
        """One a channel: f h + x."""
        return width


class MLGRU(TokenMixer):
    """h_t = f_t h_{t-1} + (1 - f_t) c_t, channel by channel; c = silu(W_i x), f = sigmoid(W_f x).

    As released, f is raised to lie above the layer's lower bound b, b + (1 - b) f, and the output
    is W_o (norm(W_g x) * silu(h)): the gate is normed, the state goes through the activation. In
    the paper's equations the projections have biases and the output is W_o (sigmoid(W_g x) h).
    """

    def __init__(
        self,
        config: MLGRUConfig,
        width: int,
        *,
        linear: MakeLinear,
        eps: float,
        dtype: Any,
        rngs: Any,
    ):
        self.config, self.dtype, self.width = config, dtype, width
        released = config.variant == "released"

        def projection() -> Any:
            made = linear(width, width, bias=not released, dtype=dtype, rngs=rngs)
            limit = GAIN * (3 / width) ** 0.5
            made.kernel = nnx.Param(
                jax.random.uniform(rngs.params(), (width, width), minval=-limit, maxval=limit)
            )
            return made

        self.i_proj, self.f_proj = projection(), projection()
        self.g_proj, self.o_proj = projection(), projection()
        if released:
            self.g_norm = RMSNorm(width, eps=eps)

    def __call__(
        self, x: Float[Array, "B T D"], state: State = None, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B T D"], State]:
        """All tokens in one pass over the recurrence."""
        decay, add = self._gates(x, context)
        if context.segment_ids is not None:
            decay = jnp.where(_starts(context.segment_ids)[..., None], 0.0, decay)
        h = gated_recurrence(decay, add, initial=state)
        return self._output(h, x), None if state is None else h[:, -1]

    def initial_state(self, batch: int, length: int) -> Float[Array, "B D"]:
        """Zeros."""
        return jnp.zeros((batch, self.width))

    def step(
        self, x: Float[Array, "B D"], state: State, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B D"], State]:
        """The recurrence itself."""
        decay, add = self._gates(x, context)
        h = decay * state + add
        return self._output(h, x), h

    def forget(
        self, x: Float[Array, "... D"], context: Context = NO_CONTEXT
    ) -> Float[Array, "... D"]:
        """f_t, float32."""
        return _forget(self.f_proj(x).astype(jnp.float32), self._bound(context))

    def _bound(self, context: Context) -> Array | None:
        return context.lower_bound if self.config.bounded else None

    def _gates(self, x: Float[Array, "... D"], context: Context) -> tuple[Array, Array]:
        """f_t, and (1 - f_t) c_t."""
        f, c = (projection(x).astype(jnp.float32) for projection in (self.f_proj, self.i_proj))
        return _opened(f, c, self._bound(context))

    def _output(self, h: Float[Array, "... D"], x: Float[Array, "... D"]) -> Array:
        @jax.checkpoint
        def gated(gate: Array, h: Array) -> Array:
            if self.config.variant == "paper":
                return jax.nn.sigmoid(gate) * h
            return self.g_norm(gate) * jax.nn.silu(h)

        return self.o_proj(gated(self.g_proj(x).astype(h.dtype), h))


def _forget(f: Float[Array, "... D"], bound: Array | None) -> Float[Array, "... D"]:
    """sigmoid(f), raised to lie above the bound."""
    f = jax.nn.sigmoid(f)
    if bound is None:
        return f
    bound = bound.astype(f.dtype).reshape((1,) * (f.ndim - 1) + bound.shape)
    return bound + (1 - bound) * f


@jax.checkpoint
def _opened(
    f: Float[Array, "... D"], c: Float[Array, "... D"], bound: Array | None
) -> tuple[Float[Array, "... D"], Float[Array, "... D"]]:
    """f_t and (1 - f_t) c_t of the projections; the backward pass keeps these and computes again
    what lies between, as the release's kernels do (see `workbench.language.channel`)."""
    f = _forget(f, bound)
    return f, (1 - f) * jax.nn.silu(c)


def _starts(segment_ids: Int[Array, "B T"]) -> Array:
    """Where a token's segment is not that of the token before it."""
    return jnp.diff(segment_ids, axis=1, prepend=segment_ids[:, :1]) != 0
