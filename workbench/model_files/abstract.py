"""Models with shapes in place of weights."""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array


class AnyKey:
    """Random keys where only shapes matter: always the same one.

    Each draw from `nnx.Rngs` under a trace looks through all that was traced before it, so that a
    model of a thousand parameters takes a million looks; a draw of these takes none.
    """

    def params(self) -> Array:
        """A key."""
        return _key()


@cache
def _key() -> Array:
    return jax.random.key(0)


def abstract(model: Callable[..., Any], config: Any, *, dtype: Any) -> Any:
    """`model(config, dtype=dtype, rngs=...)` with `jax.ShapeDtypeStruct`s for weights.

    Tracing what a large model draws takes a second: it is done once for each model, configuration
    and dtype, which are told apart by their hash.
    """
    return nnx.merge(*_outline(model, config, jnp.dtype(dtype)))


@lru_cache(maxsize=32)
def _outline(model: Callable[..., Any], config: Any, dtype: Any) -> tuple[Any, Any]:
    key = AnyKey()
    key.params()  # made outside of the trace
    return nnx.split(nnx.eval_shape(lambda: model(config, dtype=dtype, rngs=key)))
