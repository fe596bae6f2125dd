"""A layer under test: its functions compiled once, for eight texts at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from workbench.language.linear import Linear
from workbench.language.mixing import Context, MixerConfig, State, TokenMixer

ROWS, LENGTH = 8, 130
"""Texts checked together, and tokens of each: more than two chunks of 64."""

LOWER_BOUND = 0.3
"""Of forget gates, for mixers that take one."""


@dataclass(frozen=True, eq=False)
class Subject:
    """One layer of a mixer with random weights.

    Args:
        config: the mixer.
        width: of the layer.
        seed: of weights and texts.
        dtype: of products.
    """

    config: MixerConfig
    width: int
    seed: int = 0
    dtype: Any = jnp.float32

    @cached_property
    def layer(self) -> TokenMixer:
        """The layer; weights keep outputs near the size of inputs, so that faults show."""
        return self.config.build(
            self.width,
            0,
            linear=partial(Linear, deviation=self.width**-0.5),
            eps=1e-6,
            dtype=jnp.dtype(self.dtype),
            rngs=nnx.Rngs(params=self.seed),
        )

    @cached_property
    def _split(self) -> tuple[Any, Any]:
        return nnx.split(self.layer)

    @property
    def weights(self) -> Any:
        """The layer's parameters."""
        return self._split[1]

    def merged(self, weights: Any) -> TokenMixer:
        """The layer with these parameters."""
        return nnx.merge(self._split[0], weights)

    def context(self, segment_ids: Int[Array, "B T"] | None = None) -> Context:
        """With a lower bound for the mixers that want one."""
        bound = jnp.full(self.width, LOWER_BOUND) if self.config.bounded else None
        return Context(segment_ids, bound)

    def texts(self, rows: int = ROWS, length: int = LENGTH, stream: int = 1) -> Array:
        """Normal random inputs [rows, length, width]."""
        key = jax.random.fold_in(jax.random.key(self.seed), stream)
        return jax.random.normal(key, (rows, length, self.width))

    @cached_property
    def _whole(self) -> Any:
        def run(weights: Any, x: Array, segment_ids: Array | None) -> Array:
            return self.merged(weights)(x, None, self.context(segment_ids))[0]

        return jax.jit(run)

    def whole(
        self,
        x: Float[Array, "B T D"],
        segment_ids: Int[Array, "B T"] | None = None,
        weights: Any = None,
    ) -> Float[Array, "B T D"]:
        """y of whole texts, with other weights where given."""
        return self._whole(self.weights if weights is None else weights, x, segment_ids)

    @cached_property
    def _gradients(self) -> Any:
        def weighed(weights: Any, x: Array, cotangent: Array) -> Array:
            y = self.merged(weights)(x, None, self.context())[0]
            return jnp.sum(y * cotangent)

        return jax.jit(jax.value_and_grad(weighed, argnums=(0, 1)))

    def gradients(self, x: Any, cotangent: Any, weights: Any = None) -> tuple[Any, Any, Any]:
        """sum(y * cotangent), and its gradient in the weights and in x."""
        weights = self.weights if weights is None else weights
        value, (in_weights, in_x) = self._gradients(weights, x, cotangent)
        return value, in_weights, in_x

    def state(self, batch: int, length: int) -> State:
        """Before the first token."""
        return self.layer.initial_state(batch, length)

    @cached_property
    def _prefill(self) -> Any:
        return jax.jit(lambda weights, x, state: self.merged(weights)(x, state, self.context()))

    def prefill(self, x: Float[Array, "B T D"], state: State) -> tuple[Any, State]:
        """y of tokens after a state, and the state after them."""
        return self._prefill(self.weights, x, state)

    @cached_property
    def _step(self) -> Any:
        return jax.jit(
            lambda weights, x, state: self.merged(weights).step(x, state, self.context())
        )

    def step(self, x: Float[Array, "B D"], state: State) -> tuple[Any, State]:
        """y of one more token a row, and the state after it."""
        return self._step(self.weights, x, state)

    def in_dtype(self, dtype: Any) -> Subject:
        """The same layer with products in another dtype."""
        return replace(self, dtype=dtype)
