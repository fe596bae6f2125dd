"""The activations of blocks that are one op: each maps zero to zero, so that padding stays zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import jax

ACTIVATIONS: Final[dict[str, Callable[[jax.Array], jax.Array]]] = {
    "silu": jax.nn.silu,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "hard_swish": jax.nn.hard_swish,
}
