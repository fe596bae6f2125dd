"""Softmax attention as in LLaMA: rotary positions, shared key heads, a sliding window, caches."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int
from pydantic import Field

from kernels_pallas import attention
from workbench.language.linear import MakeLinear
from workbench.language.mixers import key_values, part_by_part, xquant
from workbench.language.mixers.latents import Latent
from workbench.language.mixers.part_by_part import Sums
from workbench.language.mixers.xquant import XQuant
from workbench.language.mixing import NO_CONTEXT, Context, MixerConfig, State, TokenMixer
from workbench.language.rotary import Scaling, frequencies, rotated

Cache = Literal["float32", "bfloat16"] | XQuant
"""What is kept of a text: keys and values in a dtype, or the layer's input in few bits."""

BLOCKS = 8
"""Groups of inputs of which keys and values are made again at a time."""


class AttentionConfig(MixerConfig):
    """Shape of an attention layer."""

    kind: ClassVar[str] = "attention"

    num_heads: int = Field(4, ge=1, description="heads")
    num_kv_heads: int | None = Field(None, ge=1, description="heads of keys and values")
    head_dim: int | None = Field(
        None, ge=2, description="width of a head; hidden_size / num_heads when None"
    )
    window_size: int | None = Field(
        None, ge=1, description="tokens a token sees, itself among them; None: all before it"
    )
    rope_theta: float | None = Field(
        10000.0, gt=0, description="base of the rotary positions; None: no positions"
    )
    rope_scaling: Scaling | None = Field(
        None, description="change of the rotary positions for longer texts"
    )
    biases: Literal["none", "qkv", "all"] = Field(
        "none", description="which projections have a bias"
    )
    cache: Cache = Field("float32", description="what is kept of a text while it is decoded")

    def build(
        self, width: int, layer: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ) -> Attention:
        """The layer."""
        return Attention(self, width, linear=linear, dtype=dtype, rngs=rngs)

    def sizes(self, width: int) -> tuple[int, int, int]:
        """Heads of queries, heads of keys and values, and a head's width.

        Raises:
            ValueError: sizes that do not fit; names the field.
        """
        heads, kv_heads = self.num_heads, self.num_kv_heads or self.num_heads
        if heads % kv_heads:
            raise ValueError(f"num_kv_heads={kv_heads} does not divide num_heads={heads}")
        if self.head_dim is None and width % heads:
            raise ValueError(f"num_heads={heads} does not divide hidden_size={width}")
        head = self.head_dim or width // heads
        if self.rope_theta is not None:
            frequencies(head, self.rope_theta)
        if isinstance(self.cache, XQuant):
            self.kept(width, kv_heads * head)
        return heads, kv_heads, head

    def kept(self, width: int, kv_width: int) -> tuple[tuple[int, xquant.Per], ...]:
        """Width and kind of scale of what an XQuant cache keeps (section 3.2).

        Raises:
            ValueError: a width its groups do not divide, or a window.
        """
        assert isinstance(self.cache, XQuant)
        if self.window_size is not None:
            raise ValueError(f"window_size={self.window_size}: a cache of inputs has no window")
        if not self.cache.latent:
            self.cache.require(width, "hidden_size")
            return ((width, "token"),)
        rank = min(width, kv_width)
        self.cache.require(rank, "num_kv_heads * head_dim" if rank == kv_width else "hidden_size")
        return ((rank, "channel"), (rank, "token"))

    def slots(self, length: int) -> int:
        """Tokens a cache holds of `length`."""
        return length if self.window_size is None else min(length, self.window_size)

    def state_bytes(self, width: int, length: int, cache_bytes: int | None = None) -> int:
        """2 S G K elements for S tokens, or the packed input; as configured when None is given."""
        _, kv_heads, head = self.sizes(width)
        if isinstance(self.cache, XQuant):
            return self.cache.row_bytes(length, self.kept(width, kv_heads * head))
        element = cache_bytes or jnp.dtype(self.cache).itemsize
        return key_values.cache_bytes(self.slots(length), kv_heads, head, element)

    def macs(self, width: int, length: int) -> float:
        """2 H K for each token seen: on average (T + 1) / 2, fewer with a window W."""
        heads, _, head = self.sizes(width)
        window = self.slots(length)
        pairs = window * (window + 1) / 2 + (length - window) * window
        return 2 * heads * head * pairs / length

    def token_macs(self, width: int, length: int) -> float:
        """2 H K for each token the cache holds."""
        heads, _, head = self.sizes(width)
        return 2 * heads * head * self.slots(length)


class Attention(TokenMixer):
    """softmax(q k^T / sqrt(K)) v with rotary q and k (Vaswani et al. 2017, section 3.2)."""

    def __init__(
        self, config: AttentionConfig, width: int, *, linear: MakeLinear, dtype: Any, rngs: Any
    ):
        self.config, self.width = config, width
        self.sizes = heads, kv_heads, head = config.sizes(width)
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs, "bias": config.biases != "none"}
        self.q_proj = linear(width, heads * head, **kind)
        self.k_proj = linear(width, kv_heads * head, **kind)
        self.v_proj = linear(width, kv_heads * head, **kind)
        self.o_proj = linear(
            heads * head, width, dtype=dtype, rngs=rngs, bias=config.biases == "all"
        )

    def __call__(
        self, x: Float[Array, "B T D"], state: State = None, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B T D"], State]:
        """Every token with those before it: of the text, or of what the state keeps as well."""
        if state is None:
            positions = jnp.broadcast_to(jnp.arange(x.shape[1])[None, :], x.shape[:2])
            q, k, v = self._queries(x, positions), self._keys(x, positions), self._values(x)
            return self._attended(q, k, v, context.segment_ids), None
        positions = state.seen[:, None] + jnp.arange(x.shape[1])[None, :]
        q, k, v = self._queries(x, positions), self._keys(x, positions), self._values(x)
        if isinstance(state, xquant.KeptInputs):
            out = self._over_inputs(state, q, k, v)
            return self.o_proj(out.reshape(*x.shape[:2], -1)), self._kept(state, x)
        old_keys, old_values, held = key_values.by_age(state, k.dtype)
        after = key_values.appended(state, k, v)
        keys = jnp.concatenate([old_keys, k], axis=1)
        values = jnp.concatenate([old_values, v], axis=1)
        # Slots that hold nothing are a segment of their own.
        of_queries = jnp.zeros(x.shape[:2], jnp.int32)
        of_keys = jnp.concatenate([held.astype(jnp.int32) - 1, of_queries], axis=1)
        return self._attended(q, keys, values, (of_queries, of_keys)), after

    def initial_state(self, batch: int, length: int) -> State:
        """A cache without a token.

        Raises:
            ValueError: a cache of projected inputs whose projections were not made (`with_cache`).
        """
        cache, (_, kv_heads, head) = self.config.cache, self.sizes
        if not isinstance(cache, XQuant):
            slots = self.config.slots(length)
            return key_values.empty(batch, slots, kv_heads, head, jnp.dtype(cache))
        if cache.latent and not hasattr(self, "latents"):
            raise ValueError(
                "cache latent=True needs the projections that `with_cache(model, cache)` makes"
            )
        return xquant.empty(cache, batch, length, self.config.kept(self.width, kv_heads * head))

    def step(
        self, x: Float[Array, "B D"], state: State, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B D"], State]:
        """One token with what the cache holds, which is in no order and not copied."""
        if isinstance(state, xquant.KeptInputs):
            return super().step(x, state, context)
        x, positions = x[:, None], state.seen[:, None]
        state = key_values.appended(state, self._keys(x, positions), self._values(x))
        q = self._queries(x, positions)
        keys, values = (
            key_values.numbers(jnp.moveaxis(a, 1, 2), q.dtype) for a in (state.keys, state.values)
        )
        held = key_values.held(state).astype(jnp.int32) - 1
        out = attention(q, keys, values, segment_ids=(jnp.zeros_like(positions), held))
        return self.o_proj(out.reshape(x.shape[0], -1)), state

    def make_latents(self) -> None:
        """Factors of the key and value weights: W = U (S B^T) (XQuant, section 3.2).

        X U has the rank of W, and W's part of X is X U (S B^T): exact until it is rounded.
        """
        self.latents = nnx.List([Latent(self.k_proj), Latent(self.v_proj)])

    def _queries(self, x: Float[Array, "B T D"], positions: Int[Array, "B T"]) -> Array:
        heads, _, head = self.sizes
        return self._turned(self.q_proj(x).reshape(*x.shape[:2], heads, head), positions)

    def _keys(self, x: Float[Array, "B T D"], positions: Int[Array, "B T"]) -> Array:
        return self._turned(self._by_head(self.k_proj(x)), positions)

    def _values(self, x: Float[Array, "B T D"]) -> Float[Array, "B T G K"]:
        return self._by_head(self.v_proj(x))

    def _by_head(self, x: Float[Array, "B T N"]) -> Float[Array, "B T G K"]:
        _, kv_heads, head = self.sizes
        return x.reshape(*x.shape[:2], kv_heads, head)

    def _turned(self, x: Float[Array, "B T H K"], positions: Int[Array, "B T"]) -> Array:
        config = self.config
        if config.rope_theta is None:
            return x
        each = frequencies(self.sizes[2], config.rope_theta, config.rope_scaling)
        return rotated(x, positions, each)

    def _attended(self, q: Array, k: Array, v: Array, segments: Any) -> Float[Array, "B T D"]:
        out = attention(q, k, v, causal=True, window=self.config.window_size, segment_ids=segments)
        return self.o_proj(out.reshape(*out.shape[:2], -1))

    def _over_inputs(
        self, state: xquant.KeptInputs, q: Array, k: Array, v: Array
    ) -> Float[Array, "B T H K"]:
        """Queries with keys and values made again a part at a time, and with their own."""
        batch, new = q.shape[:2]

        def added(sums: Sums, inputs: Any, positions: Array, held: Array) -> Sums:
            keys, values = self._made_again([a.astype(q.dtype) for a in inputs], positions)
            seen = jnp.broadcast_to(held[:, None, :], (batch, new, held.shape[1]))
            return part_by_part.with_part(sums, q, keys, values, seen)

        def old(part: Array, sums: Sums) -> Sums:
            return added(sums, *xquant.old_part(state, part, BLOCKS))

        sums = part_by_part.nothing(q, self.sizes[1])
        sums = jax.lax.fori_loop(0, xquant.old_parts(state, BLOCKS), old, sums)
        sums = added(sums, *xquant.recent_part(state))
        before = jnp.tri(new, dtype=bool)[None]
        own = jnp.broadcast_to(before, (batch, new, new))
        return part_by_part.result(part_by_part.with_part(sums, q, k, v, own)).astype(q.dtype)

    def _made_again(
        self, inputs: list[Array], positions: Int[Array, "B S"]
    ) -> tuple[Float[Array, "B S G K"], Float[Array, "B S G K"]]:
        """Keys and values from what is kept of their inputs."""
        if len(inputs) == 1:
            return self._keys(inputs[0], positions), self._values(inputs[0])
        projections = (self.k_proj, self.v_proj)
        keys, values = (
            self._by_head(latent.weight_part(x, projection.bias))
            for latent, x, projection in zip(self.latents, inputs, projections, strict=True)
        )
        return self._turned(keys, positions), values

    def _kept(self, state: xquant.KeptInputs, x: Float[Array, "B T D"]) -> xquant.KeptInputs:
        """The state after more inputs."""
        _, kv_heads, head = self.sizes
        parts = [x] if len(state.kept) == 1 else [latent(x) for latent in self.latents]
        settings, sizes = self.config.cache, self.config.kept(self.width, kv_heads * head)
        assert isinstance(settings, XQuant)
        kept = tuple(
            xquant.appended(before, part, state.seen, settings, per)
            for before, part, (_, per) in zip(state.kept, parts, sizes, strict=True)
        )
        return xquant.KeptInputs(kept, state.seen + x.shape[1])
