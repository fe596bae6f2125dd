"""The compiled programs of decoding: read a piece of a text, write a token, seat a text in a row.

Each is compiled once for its shapes, for all decoders of one structure. States are given away: a
program writes into the memory of those it was handed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Int

from workbench.language.decoder import Decoder
from workbench.language.generation.sampling import Draws, chosen
from workbench.language.mixing import State


class Structure:
    """A model without its weights, as a program is compiled for it; its hash is taken once."""

    def __init__(self, graph: Any, tree: Any):
        self.graph, self.tree = graph, tree
        self._hash = hash((graph, tree))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Structure) or self._hash != other._hash:
            return False
        return bool(self.graph == other.graph and self.tree == other.tree)

    def model(self, weights: list[Any]) -> Decoder:
        """The model with these weights."""
        decoder: Decoder = nnx.merge(self.graph, jax.tree.unflatten(self.tree, weights))
        return decoder


def parts(model: Decoder) -> tuple[Structure, list[Any]]:
    """A model's structure and weights."""
    graph, state = nnx.split(model)
    weights, tree = jax.tree.flatten(state)
    return Structure(graph, tree), weights


@partial(jax.jit, static_argnames=("structure", "batch", "length"))
def begun(structure: Structure, weights: list[Any], *, batch: int, length: int) -> list[State]:
    """The states before the first token, each in memory of its own."""
    return structure.model(weights).initial_state(batch, length)


@partial(jax.jit, static_argnames="structure", donate_argnames="states")
def read(
    structure: Structure, weights: list[Any], tokens: Int[Array, "B T"], states: list[State]
) -> list[State]:
    """The states after more tokens."""
    return structure.model(weights).prefill(tokens, states)[1]


@partial(jax.jit, static_argnames="structure", donate_argnames="states")
def write(
    structure: Structure,
    weights: list[Any],
    tokens: Int[Array, " B"],
    states: list[State],
    draws: Draws,
) -> tuple[Int[Array, " B"], list[State]]:
    """The token after each row's, and the states after each row's."""
    logits, states = structure.model(weights).step(tokens, states)
    return chosen(logits, draws), states


@partial(jax.jit, donate_argnames="states")
def seated(states: list[State], one: list[State], row: Int[Array, ""]) -> list[State]:
    """The states with that of one text in a row."""
    return jax.tree.map(
        lambda every, alone: jax.lax.dynamic_update_slice_in_dim(every, alone, row, 0), states, one
    )
