"""The largest of a row, exactly as many as asked for."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def largest(scores: Float[Array, "*rows L"], count: Any) -> Bool[Array, "*rows L"]:
    """Marks the `count` largest entries of each row; of equal ones the first.

    Args:
        scores: any.
        count: a whole number, which may be traced.
    """
    order = jnp.argsort(-scores, axis=-1, stable=True)
    rank = jnp.argsort(order, axis=-1, stable=True)
    return rank < count
