"""Which dtype sums are taken in: the same for every op."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def accumulator(dtype: jax.typing.DTypeLike) -> jnp.dtype:
    """The dtype of states and sums for inputs of a dtype: float32, or float64 for float64."""
    return jnp.dtype("float64" if jnp.dtype(dtype) == "float64" else "float32")
