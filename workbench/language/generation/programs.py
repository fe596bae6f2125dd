"""The compiled programs of decoding: read a piece of a text, write a token, seat a text in a row.

Each is compiled once for its shapes, for all decoders of one structure. States are given away: a
program writes into the memory of those it was handed.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
from flax import nnx
from jaxtyping import Array, Int

from workbench.language.config import DecoderConfig
from workbench.language.generation.sampling import Draws, chosen
from workbench.language.mixing import State


@runtime_checkable
class LanguageModel(Protocol):
    """What can be written with: a `Decoder`, packed, scanned or neither."""

    config: DecoderConfig

    def initial_state(self, batch: int, length: int) -> State:
        """The state before the first token."""
        ...

    def prefill(self, tokens: Int[Array, "B T"], states: State) -> tuple[Array, State]:
        """Logits of tokens that follow those in the states, and the states after them."""
        ...

    def step(self, tokens: Int[Array, " B"], states: State) -> tuple[Array, State]:
        """Logits after one more token a row, and the states after it."""
        ...


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

    def model(self, weights: list[Any]) -> LanguageModel:
        """The model with these weights."""
        found: LanguageModel = nnx.merge(self.graph, jax.tree.unflatten(self.tree, weights))
        return found


def parts(model: LanguageModel) -> tuple[Structure, list[Any]]:
    """A model's structure and weights."""
    graph, state = nnx.split(model)
    weights, tree = jax.tree.flatten(state)
    return Structure(graph, tree), weights


@partial(jax.jit, static_argnames=("structure", "batch", "length"))
def begun(structure: Structure, weights: list[Any], *, batch: int, length: int) -> State:
    """The states before the first token, each in memory of its own."""
    return structure.model(weights).initial_state(batch, length)


@partial(jax.jit, static_argnames="structure", donate_argnames="states")
def read(
    structure: Structure, weights: list[Any], tokens: Int[Array, "B T"], states: State
) -> State:
    """The states after more tokens."""
    return structure.model(weights).prefill(tokens, states)[1]


@partial(jax.jit, static_argnames="structure", donate_argnames="states")
def write(
    structure: Structure,
    weights: list[Any],
    tokens: Int[Array, " B"],
    states: State,
    draws: Draws,
) -> tuple[Int[Array, " B"], State]:
    """The token after each row's, and the states after each row's."""
    logits, states = structure.model(weights).step(tokens, states)
    return chosen(logits, draws), states


@partial(jax.jit, donate_argnames="states")
def seated(states: State, one: State, row: Int[Array, ""]) -> State:
    """The states with that of one text in a row."""
    return jax.tree.map(
        lambda every, alone: jax.lax.dynamic_update_slice_in_dim(every, alone, row, 0), states, one
    )
