"""Activations by name."""

from collections.abc import Callable
from typing import Final, Literal

import jax
from jaxtyping import Array

Activation = Literal["relu", "relu6", "silu", "hard_swish", "gelu"]
Gate = Literal["sigmoid", "hard_sigmoid"]


def gelu(x: Array) -> Array:
    """x times the normal distribution function at x, exactly."""
    return jax.nn.gelu(x, approximate=False)


ACTIVATIONS: Final[dict[str, Callable[[Array], Array]]] = {
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "silu": jax.nn.silu,
    "hard_swish": jax.nn.hard_swish,
    "gelu": gelu,
    "sigmoid": jax.nn.sigmoid,
    "hard_sigmoid": jax.nn.hard_sigmoid,
}
