"""Mamba-2: a state space with one decay a head (Dao & Gu 2024, arXiv 2405.21060)."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field, model_validator

from kernels_pallas import gated_linear_attention, gated_linear_attention_step
from workbench.language.linear import MakeLinear, RMSNorm
from workbench.language.mixers.gla import chunked_macs
from workbench.language.mixing import NO_CONTEXT, Context, MixerConfig, State, TokenMixer
from workbench.language.short_conv import ShortConv

A_RANGE = (1.0, 16.0)
"""Decay rates -A of the first weights."""


class Mamba2Config(MixerConfig):
    """Shape of a Mamba-2 layer, whose keys and queries (B and C) all heads share."""

    kind: ClassVar[str] = "mamba2"

    state_size: int = Field(128, ge=1, description="numbers a channel's state has, N")
    expand: int = Field(2, ge=1, description="inner width over the model's")
    head_dim: int = Field(64, ge=1, description="channels of a head, P")
    conv_kernel: int = Field(4, ge=2, description="tokens the convolution sees")
    dt_min: float = Field(0.001, gt=0, description="least time step of the first weights")
    dt_max: float = Field(0.1, gt=0, description="largest time step of the first weights")

    @model_validator(mode="after")
    def _ordered(self) -> Mamba2Config:
        if self.dt_min > self.dt_max:
            raise ValueError(f"dt_min={self.dt_min} is above dt_max={self.dt_max}")
        return self

    def build(
        self, width: int, layer: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ) -> Mamba2:
        """The layer."""
        return Mamba2(self, width, linear=linear, eps=eps, dtype=dtype, rngs=rngs)

    def heads(self, width: int) -> int:
        """How many heads there are.

        Raises:
            ValueError: an inner width of no whole number of heads.
        """
        if self.expand * width % self.head_dim:
            raise ValueError(
                f"head_dim={self.head_dim} does not divide expand * hidden_size = "
                f"{self.expand * width}"
            )
        return self.expand * width // self.head_dim

    def convolved(self, width: int) -> int:
        """Channels that pass the convolution: x, B and C."""
        return self.expand * width + 2 * self.state_size

    def state_bytes(self, width: int, length: int, cache_bytes: int = 4) -> int:
        """H N P float32 numbers and the convolution's last inputs, however long the text."""
        memory = self.heads(width) * self.state_size * self.head_dim
        return 4 * (memory + (self.conv_kernel - 1) * self.convolved(width))

    def macs(self, width: int, length: int) -> float:
        """In chunks of C = 64 tokens: H (C (N + P + C) + 2 N P), and the convolution."""
        per_head = chunked_macs(self.state_size, self.head_dim, length, "masked")
        return self.heads(width) * per_head + self.conv_kernel * self.convolved(width)

    def token_macs(self, width: int, length: int) -> float:
        """H N P, and the convolution."""
        memory = self.heads(width) * self.state_size * self.head_dim
        return memory + self.conv_kernel * self.convolved(width)


class Mamba2State(NamedTuple):
    """What a Mamba-2 layer keeps: each head's state, and the convolution's last inputs."""

    memory: Float[Array, "B H N P"]
    conv: Float[Array, "B S D"]


class Mamba2(TokenMixer):
    """h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t^T, y_t = C_t h_t + D x_t (section 3.2, 7.1).

    x, B and C pass a short convolution; the output is W_o norm(y * silu(z)) with z of the input.
    """

    def __init__(
        self,
        config: Mamba2Config,
        width: int,
        *,
        linear: MakeLinear,
        eps: float,
        dtype: Any,
        rngs: Any,
    ):
        self.config, self.dtype = config, dtype
        heads, inner = config.heads(width), config.expand * width
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.sizes = (heads, config.state_size, config.head_dim)
        self.inner = inner
        self.in_proj = linear(width, inner + config.convolved(width) + heads, **kind)
        self.conv1d = ShortConv(config.convolved(width), config.conv_kernel, bias=True, rngs=rngs)
        self.dt_bias = nnx.Param(_inverse_softplus(self._first_steps(rngs)))
        low, high = A_RANGE
        rates = jax.random.uniform(rngs.params(), (heads,), minval=low, maxval=high)
        self.A_log = nnx.Param(jnp.log(rates))
        self.D = nnx.Param(jnp.ones(heads))
        self.norm = RMSNorm(inner, eps=eps)
        self.out_proj = linear(inner, width, **kind)

    def __call__(
        self, x: Float[Array, "B T D"], state: State = None, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B T D"], State]:
        """By chunks, as linear attention with one gate a head (section 6)."""
        z, mixed, steps = self._projected(x)
        memory, before = (None, None) if state is None else state
        mixed, conv = self.conv1d(mixed, before, context.segment_ids)
        values, q, k, v, log_decay = self._heads(mixed, steps)
        o, memory = gated_linear_attention(
            q, k, v, log_decay, scale=1.0, initial_state=memory, segment_ids=context.segment_ids
        )
        after = None if state is None else Mamba2State(memory, conv)
        return self._output(o, values, z), after

    def initial_state(self, batch: int, length: int) -> Mamba2State:
        """Zeros."""
        return Mamba2State(jnp.zeros((batch, *self.sizes)), self.conv1d.initial_state(batch))

    def step(
        self, x: Float[Array, "B D"], state: State, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B D"], State]:
        """The recurrence itself."""
        z, mixed, steps = self._projected(x)
        mixed, conv = self.conv1d.step(mixed, state.conv)
        values, q, k, v, log_decay = self._heads(mixed, steps)
        o, memory = gated_linear_attention_step(q, k, v, log_decay, state.memory, scale=1.0)
        return self._output(o, values, z), Mamba2State(memory, conv)

    def _projected(self, x: Float[Array, "... D"]) -> tuple[Array, Array, Array]:
        """The gate z, what passes the convolution, and the time steps' logits."""
        places = (self.inner, 2 * self.inner + 2 * self.config.state_size)
        z, mixed, steps = jnp.split(self.in_proj(x), places, axis=-1)
        return z, mixed, steps

    def _heads(
        self, mixed: Float[Array, "... E"], steps: Float[Array, "... H"]
    ) -> tuple[Array, Array, Array, Array, Array]:
        """x by heads; C, B, dt x and dt A as queries, keys, values and log gates."""
        heads, size, channels = self.sizes
        before = mixed.shape[:-1]
        x, keys, queries = jnp.split(mixed, (self.inner, self.inner + size), axis=-1)
        x = x.reshape(*before, heads, channels)
        shared = (*before, heads, size)
        q = jnp.broadcast_to(queries[..., None, :], shared)
        k = jnp.broadcast_to(keys[..., None, :], shared)
        each = (1,) * len(before) + (heads,)
        dt = jax.nn.softplus(steps.astype(jnp.float32) + self.dt_bias[...].reshape(each))
        log_decay = -dt * jnp.exp(self.A_log[...]).reshape(each)
        v = (dt[..., None] * x.astype(jnp.float32)).astype(x.dtype)
        return x, q, k, v, log_decay

    def _output(
        self, o: Float[Array, "... H P"], x: Float[Array, "... H P"], z: Float[Array, "... E"]
    ) -> Array:
        skip = self.D[...].reshape((1,) * (x.ndim - 2) + (-1, 1)).astype(x.dtype) * x
        y = (o + skip).reshape(z.shape)
        return self.out_proj(self.norm(y * jax.nn.silu(z)))

    def _first_steps(self, rngs: Any) -> Float[Array, " H"]:
        """Log-uniform between the two, at least 1e-4."""
        low, high = math.log(self.config.dt_min), math.log(self.config.dt_max)
        draw = jax.random.uniform(rngs.params(), self.sizes[:1], minval=low, maxval=high)
        return jnp.maximum(jnp.exp(draw), 1e-4)


def _inverse_softplus(x: Float[Array, " H"]) -> Float[Array, " H"]:
    return x + jnp.log(-jnp.expm1(-x))
