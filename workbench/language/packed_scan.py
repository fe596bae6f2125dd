"""A packed model whose layers are one program: a step compiles once, not once a layer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from workbench.language.decoder import Decoder
from workbench.language.mixing import Context
from workbench.language.packed import Codes, Packed, PackedBitLinear, put

States = Any
"""Of all layers: a pytree of arrays [B, L, ...]."""


class ScannedDecoder(nnx.Module):
    """A packed `Decoder` that walks its layers in a `lax.scan`, reading their stacked weights.

    The small weights of a layer are cut out of their stacks; its packed matrices are read where
    they are. Dense weights would be copied in every step, which is why only packed ones are
    stacked.

    Args:
        model: from `pack`, its layers all alike.

    Raises:
        ValueError: a model that is not packed, or one whose layers differ.
    """

    def __init__(self, model: Decoder):
        if not isinstance(getattr(model, "lm_head", None), PackedBitLinear):
            raise ValueError("this model is not packed: pack(model) makes one that is")
        self.config, self.dtype = model.config, model.dtype
        numbered = [_numbered(layer, number) for number, layer in enumerate(model.model.layers)]
        graphs, states = zip(*numbered, strict=True)
        if any(graph != graphs[0] for graph in graphs[1:]):
            raise ValueError("mixers: the layers of this model differ; those of a scan are alike")
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        self.layers = nnx.merge(graphs[0], stacked)
        bounds: Any = [context.lower_bound for context in model.model.contexts(None)]
        self.bounds = None if bounds[0] is None else Packed(jnp.stack(bounds))
        self.embeddings, self.norm = model.model.embeddings, model.model.norm
        self.lm_head = model.lm_head

    def __call__(self, tokens: Int[Array, "B T"]) -> Float[Array, "B T V"]:
        """Logits of the token after each."""
        return self.prefill(tokens, self.initial_state(*tokens.shape))[0]

    def initial_state(self, batch: int, length: int) -> States:
        """The state of all layers before the first token.

        Args:
            batch: rows.
            length: the most tokens a row will have.

        Raises:
            ValueError: more than the model's limit.
        """
        limit = self.config.max_position_embeddings
        if limit is not None and length > limit:
            raise ValueError(f"{length} tokens; this model has max_position_embeddings={limit}")
        one = self.layers.attn.initial_state(batch, length)
        layers = self.config.num_hidden_layers
        return jax.tree.map(lambda leaf: jnp.stack([leaf] * layers, axis=1), one)

    def prefill(
        self, tokens: Int[Array, "B T"], states: States
    ) -> tuple[Float[Array, "B T V"], States]:
        """Logits of T tokens that follow those in the states, and the states after them."""
        return self._walk(tokens, states, "__call__")

    def step(self, tokens: Int[Array, " B"], states: States) -> tuple[Float[Array, "B V"], States]:
        """Logits after one more token a row, and the states after it."""
        return self._walk(tokens, states, "step")

    def logits(self, features: Float[Array, "... D"]) -> Float[Array, "... V"]:
        """The head, in float32."""
        return self.lm_head(features).astype(jnp.float32)

    def _walk(self, tokens: Array, states: States, method: str) -> tuple[Array, States]:
        """All layers in turn by a method of theirs."""
        parts: Any = nnx.split(self.layers, Codes, ...)
        graph, codes, small = parts

        def layer(x: Array, one: Any) -> tuple[Array, States]:
            small, state, bound = one
            merged = nnx.merge(graph, codes, small)
            return getattr(merged, method)(x, state, Context(lower_bound=bound))

        x = self.embeddings(tokens).astype(self.dtype)
        bounds = None if self.bounds is None else self.bounds[...]
        along = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), states)
        x, along = jax.lax.scan(layer, x, (small, along, bounds))
        after = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), along)
        return self.logits(self.norm(x)), after


def _numbered(layer: nnx.Module, number: int) -> tuple[Any, Any]:
    """A layer whose packed matrices are the ones of that number in a stack."""
    copy = nnx.merge(*nnx.split(layer))
    for path, node in list(nnx.iter_graph(copy)):
        if isinstance(node, PackedBitLinear):
            bias = None if node.bias is None else node.bias[...]
            put(
                copy,
                path,
                PackedBitLinear(
                    node.packed,
                    node.size[...],
                    node.norm,
                    bias,
                    dtype=node.dtype,
                    index=jnp.int32(number),
                ),
            )
    return nnx.split(copy)
