"""The decoder: embedding, layers of a token and a channel mixer, norm, head."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from workbench.language.channel import FusedSwiGLU, SwiGLU
from workbench.language.config import DecoderConfig
from workbench.language.linear import Linear, MakeLinear, RMSNorm, product
from workbench.language.mixing import NO_CONTEXT, Context, State


class Embedding(nnx.Module):
    """A vector for each token."""

    def __init__(self, vocab: int, width: int, *, deviation: float, rngs: Any):
        self.embedding = nnx.Param(deviation * jax.random.normal(rngs.params(), (vocab, width)))

    def __call__(self, tokens: Int[Array, ...]) -> Float[Array, "... D"]:
        """The tokens' vectors."""
        return self.embedding[...][tokens]


class Layer(nnx.Module):
    """x += mixer(norm(x)); x += SwiGLU(norm(x))."""

    def __init__(
        self, config: DecoderConfig, layer: int, *, linear: MakeLinear, dtype: Any, rngs: Any
    ):
        width, eps = config.hidden_size, config.norm_eps
        self.attn_norm = RMSNorm(width, eps=eps)
        self.attn = config.mixer(layer).build(
            width, layer, linear=linear, eps=eps, dtype=dtype, rngs=rngs
        )
        if config.channel_mixer != "none":
            self.mlp_norm = RMSNorm(width, eps=eps)
            kind: dict[str, Any] = {"linear": linear, "dtype": dtype, "rngs": rngs}
            if config.linears == "ternary":
                self.mlp: nnx.Module = FusedSwiGLU(
                    width, config.inner, config.num_hidden_layers, **kind
                )
            else:
                self.mlp = SwiGLU(width, config.inner, **kind)

    def __call__(
        self, x: Float[Array, "B T D"], state: State = None, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B T D"], State]:
        """The layer's output and its mixer's state."""
        mixed, state = self.attn(self.attn_norm(x), state, context)
        return self._channels(x + mixed), state

    def step(
        self, x: Float[Array, "B D"], state: State, context: Context
    ) -> tuple[Float[Array, "B D"], State]:
        """The same for one token."""
        mixed, state = self.attn.step(self.attn_norm(x), state, context)
        return self._channels(x + mixed), state

    def _channels(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
        return x + self.mlp(self.mlp_norm(x)) if hasattr(self, "mlp") else x


class Stack(nnx.Module):
    """Embedding, layers and the last norm."""

    def __init__(self, config: DecoderConfig, *, linear: MakeLinear, dtype: Any, rngs: Any):
        width, layers = config.hidden_size, config.num_hidden_layers
        self.embeddings = Embedding(
            config.vocab_size, width, deviation=config.initializer_range, rngs=rngs
        )
        if any(mixer.bounded for mixer in config.mixers):
            self.lower_bounds = nnx.Param(jnp.zeros((layers, width)))
        self.layers = nnx.List(
            Layer(config, layer, linear=linear, dtype=dtype, rngs=rngs) for layer in range(layers)
        )
        self.norm = RMSNorm(width, eps=config.norm_eps)

    def contexts(self, segment_ids: Int[Array, "B T"] | None) -> list[Context]:
        """Each layer's; bounds grow with depth from 0 (Qin et al. 2023, section 3.2)."""
        if not hasattr(self, "lower_bounds"):
            return [Context(segment_ids)] * len(self.layers)
        shares = jax.nn.softmax(self.lower_bounds[...], axis=0)
        bounds = jnp.cumsum(shares, axis=0) - shares[:1]
        return [Context(segment_ids, bound) for bound in bounds]


class Decoder(nnx.Module):
    """A language model: tokens to the logits of the next ones.

    Args:
        config: its shape.
        dtype: what products run in; weights, norms, states and logits are float32.
        remat: whether a layer's values are computed again in the backward pass, not kept.
        rngs: seeds of the initial weights.

    Attributes:
        special_tokens: name and id of tokens such as "eos_token_id", where its file names some.
    """

    def __init__(
        self, config: DecoderConfig, *, dtype: Any = jnp.float32, remat: bool = False, rngs: Any
    ):
        self.config, self.dtype, self.remat = config, jnp.dtype(dtype), remat
        self.special_tokens: tuple[tuple[str, Any], ...] = ()
        linear = make_linear(config)
        self.model = Stack(config, linear=linear, dtype=self.dtype, rngs=rngs)
        if not config.tie_word_embeddings:
            self.lm_head = linear(
                config.hidden_size, config.vocab_size, dtype=self.dtype, rngs=rngs
            )

    def __call__(
        self, tokens: Int[Array, "B T"], *, segment_ids: Int[Array, "B T"] | None = None
    ) -> Float[Array, "B T V"]:
        """Logits of the token after each.

        Args:
            tokens: of texts, or of pieces packed into rows.
            segment_ids: the piece each token is of; nothing passes between pieces.

        Raises:
            ValueError: texts longer than the model's limit.
        """
        return self.logits(self.features(tokens, segment_ids=segment_ids))

    def features(
        self, tokens: Int[Array, "B T"], *, segment_ids: Int[Array, "B T"] | None = None
    ) -> Float[Array, "B T D"]:
        """What the head reads: the last layer's output, normed."""
        self._require_length(tokens.shape[1])
        x = self.model.embeddings(tokens).astype(self.dtype)
        for layer, context in zip(self.model.layers, self.model.contexts(segment_ids), strict=True):
            run = nnx.remat(_without_state) if self.remat else _without_state
            x = run(layer, x, context)
        return self.model.norm(x)

    def logits(self, features: Float[Array, "... D"]) -> Float[Array, "... V"]:
        """The head, in float32."""
        if hasattr(self, "lm_head"):
            return self.lm_head(features).astype(jnp.float32)
        table = self.model.embeddings.embedding[...].astype(features.dtype)
        return product(features, table.T, preferred=jnp.float32)

    def initial_state(self, batch: int, length: int) -> list[State]:
        """What each layer keeps of the tokens so far, before the first.

        Args:
            batch: rows.
            length: the most tokens a row will have.

        Raises:
            ValueError: more than the model's limit.
        """
        self._require_length(length)
        return [layer.attn.initial_state(batch, length) for layer in self.model.layers]

    def prefill(
        self, tokens: Int[Array, "B T"], states: list[State]
    ) -> tuple[Float[Array, "B T V"], list[State]]:
        """Logits of T tokens that follow those in the states, and the states after them."""
        x = self.model.embeddings(tokens).astype(self.dtype)
        after = []
        for layer, state, context in zip(
            self.model.layers, states, self.model.contexts(None), strict=True
        ):
            x, state = layer(x, state, context)
            after.append(state)
        return self.logits(self.model.norm(x)), after

    def step(
        self, tokens: Int[Array, " B"], states: list[State]
    ) -> tuple[Float[Array, "B V"], list[State]]:
        """Logits after one more token a row, and the states after it."""
        x = self.model.embeddings(tokens).astype(self.dtype)
        after = []
        for layer, state, context in zip(
            self.model.layers, states, self.model.contexts(None), strict=True
        ):
            x, state = layer.step(x, state, context)
            after.append(state)
        return self.logits(self.model.norm(x)), after

    def _require_length(self, length: int) -> None:
        limit = self.config.max_position_embeddings
        if limit is not None and length > limit:
            raise ValueError(f"{length} tokens; this model has max_position_embeddings={limit}")


def _without_state(layer: Layer, x: Float[Array, "B T D"], context: Context) -> Array:
    return layer(x, None, context)[0]


def make_linear(config: DecoderConfig) -> MakeLinear:
    """Makes the projections a configuration asks for."""
    if config.linears == "ternary":
        from workbench.language.bit_linear import BitLinear

        return partial(BitLinear, deviation=config.initializer_range)
    return partial(Linear, deviation=config.initializer_range)
