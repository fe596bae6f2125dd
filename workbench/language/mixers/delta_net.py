"""DeltaNet: writes correct what the state holds at a key (Yang et al. 2024, arXiv 2406.06484)."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from kernels_pallas import gated_delta_rule, gated_delta_rule_step
from kernels_pallas.gated_delta_rule import cost
from workbench.language.linear import MakeLinear, RMSNorm, dense
from workbench.language.mixing import NO_CONTEXT, Context, MixerConfig, State, TokenMixer
from workbench.language.short_conv import ShortConv


class Heads(NamedTuple):
    """Sizes of a layer of the delta rule.

    Attributes:
        values: heads of values, of strengths and of the state.
        keys: heads of queries and keys, each shared by `values / keys` of those.
        key, value: widths of a key and of a value, K and V.
    """

    values: int
    keys: int
    key: int
    value: int

    @property
    def convolved(self) -> int:
        """Channels that pass a convolution."""
        return 2 * self.keys * self.key + self.values * self.value

    def state_bytes(self, conv_size: int) -> int:
        """H K V float32 numbers and the convolutions' last inputs, however long the text."""
        return 4 * (self.values * self.key * self.value + (conv_size - 1) * self.convolved)

    def macs(self, length: int, conv_size: int) -> float:
        """In chunks of C = 64 tokens: H (2 C (K + V) + 3 K V + the inverse), and convolutions."""
        chunk = cost.per_token(min(64, length), self.key, self.value)
        return self.values * chunk + conv_size * self.convolved

    def token_macs(self, conv_size: int) -> float:
        """2 H K V, what the state holds at k and at q, and convolutions."""
        step = cost.step((1, self.values, self.key), self.value)
        return step.macs + conv_size * self.convolved


class DeltaNetConfig(MixerConfig):
    """Shape of a DeltaNet layer; keys and queries pass silu and have length 1."""

    kind: ClassVar[str] = "delta_net"

    num_heads: int = Field(4, ge=1, description="heads")
    expand_k: float = Field(1.0, gt=0, description="width of all keys over the model's")
    expand_v: float = Field(1.0, gt=0, description="width of all values over the model's")
    use_beta: bool = Field(True, description="whether how strongly a token writes is learned")
    use_gate: bool = Field(False, description="whether the output has a gate")
    conv_size: int = Field(4, ge=2, description="tokens the convolutions see")
    allow_neg_eigval: bool = Field(
        False, description="whether strengths go to 2, and eigenvalues of a step to -1"
    )

    def build(
        self, width: int, layer: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ) -> DeltaNet:
        """The layer."""
        return DeltaNet(self, width, linear=linear, eps=eps, dtype=dtype, rngs=rngs)

    def heads(self, width: int) -> Heads:
        """Sizes of the layer.

        Raises:
            ValueError: heads that do not divide them.
        """
        key, value = int(width * self.expand_k), int(width * self.expand_v)
        for name, size in (("expand_k", key), ("expand_v", value)):
            if not size or size % self.num_heads:
                raise ValueError(
                    f"num_heads={self.num_heads} does not divide {name} * hidden_size = {size}"
                )
        count = self.num_heads
        return Heads(count, count, key // count, value // count)

    def state_bytes(self, width: int, length: int, cache_bytes: int = 4) -> int:
        """As `Heads` says."""
        return self.heads(width).state_bytes(self.conv_size)

    def macs(self, width: int, length: int) -> float:
        """As `Heads` says."""
        return self.heads(width).macs(length, self.conv_size)

    def token_macs(self, width: int, length: int) -> float:
        """As `Heads` says."""
        return self.heads(width).token_macs(self.conv_size)


class DeltaState(NamedTuple):
    """What a layer keeps: each head's state, and the last inputs of its three convolutions."""

    memory: Float[Array, "B H K V"]
    q: Float[Array, "B S D"]
    k: Float[Array, "B S D"]
    v: Float[Array, "B S E"]


class DeltaNet(TokenMixer):
    """S_t = (I - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T, o_t = S_t^T q_t / sqrt(K) (section 2.2).

    q, k and v pass short convolutions; b_t = sigmoid(W_b x_t). The output is W_o norm(o), with
    `use_gate` W_o (norm(o) * silu(W_g x)).
    """

    def __init__(
        self, config: Any, width: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ):
        self.config, self.dtype, self.sizes = config, dtype, config.heads(width)
        heads, size = self.sizes, config.conv_size
        keys, values = heads.keys * heads.key, heads.values * heads.value
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.q_proj = linear(width, keys, **kind)
        self.k_proj = linear(width, keys, **kind)
        self.v_proj = linear(width, values, **kind)
        if config.use_beta:
            self.b_proj = dense(linear)(width, heads.values, **kind)
        self.q_conv1d = ShortConv(keys, size, rngs=rngs)
        self.k_conv1d = ShortConv(keys, size, rngs=rngs)
        self.v_conv1d = ShortConv(values, size, rngs=rngs)
        if config.use_gate:
            self.g_proj = linear(width, values, **kind)
        self.o_norm = RMSNorm(heads.value, eps=eps)
        self.o_proj = linear(values, width, **kind)

    def __call__(
        self, x: Float[Array, "B T D"], state: State = None, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B T D"], State]:
        """By chunks (section 3)."""
        memory, *before = (None,) * 4 if state is None else state
        q, k, v = (
            conv(projection(x), last, context.segment_ids)
            for (projection, conv), last in zip(self._paths(), before, strict=True)
        )
        o, memory = gated_delta_rule(
            *self._heads(q[0], k[0], v[0]),
            self.strength(x),
            self.log_decay(x),
            initial_state=memory,
            segment_ids=context.segment_ids,
        )
        after = None if state is None else DeltaState(memory, q[1], k[1], v[1])
        return self._output(o, x), after

    def initial_state(self, batch: int, length: int) -> DeltaState:
        """Zeros."""
        heads = self.sizes
        memory = jnp.zeros((batch, heads.values, heads.key, heads.value))
        return DeltaState(memory, *(conv.initial_state(batch) for _, conv in self._paths()))

    def step(
        self, x: Float[Array, "B D"], state: State, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B D"], State]:
        """The recurrence itself."""
        memory, *before = state
        q, k, v = (
            conv.step(projection(x), last)
            for (projection, conv), last in zip(self._paths(), before, strict=True)
        )
        o, memory = gated_delta_rule_step(
            *self._heads(q[0], k[0], v[0]), self.strength(x), self.log_decay(x), memory
        )
        return self._output(o, x), DeltaState(memory, q[1], k[1], v[1])

    def strength(self, x: Float[Array, "... D"]) -> Float[Array, "... H"]:
        """b_t = sigmoid(W_b x_t), twice that with `allow_neg_eigval`, or 1; float32."""
        if not self.config.use_beta:
            return jnp.ones((*x.shape[:-1], self.sizes.values))
        found = jax.nn.sigmoid(self.b_proj(x).astype(jnp.float32))
        return 2 * found if self.config.allow_neg_eigval else found

    def log_decay(self, x: Float[Array, "... D"]) -> Float[Array, "... H"] | None:
        """None: nothing is forgotten but by being written over."""
        return None

    def _paths(self) -> list[tuple[Any, ShortConv]]:
        return [
            (self.q_proj, self.q_conv1d),
            (self.k_proj, self.k_conv1d),
            (self.v_proj, self.v_conv1d),
        ]

    def _heads(
        self, q: Float[Array, "... D"], k: Float[Array, "... D"], v: Float[Array, "... E"]
    ) -> tuple[Array, Array, Array]:
        """By heads; queries and keys of length 1, repeated for the values' heads."""
        heads, before = self.sizes, q.shape[:-1]
        q, k = (normalized(one.reshape(*before, heads.keys, heads.key)) for one in (q, k))
        share = heads.values // heads.keys
        if share > 1:
            q, k = (jnp.repeat(one, share, axis=-2) for one in (q, k))
        return q, k, v.reshape(*before, heads.values, heads.value)

    def _output(self, o: Float[Array, "... H V"], x: Float[Array, "... D"]) -> Array:
        o = self.o_norm(o)
        if self.config.use_gate:
            o = o * jax.nn.silu(self.g_proj(x)).reshape(o.shape)
        return self.o_proj(o.reshape(*o.shape[:-2], -1))


def normalized(x: Float[Array, "... K"]) -> Float[Array, "... K"]:
    """x / sqrt(sum(x^2) + 1e-6), computed in float32."""
    wide = x.astype(jnp.float32)
    squares = jnp.sum(jnp.square(wide), axis=-1, keepdims=True)
    return (wide * jax.lax.rsqrt(squares + 1e-6)).astype(x.dtype)
