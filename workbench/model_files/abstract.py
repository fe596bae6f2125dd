"""Models with shapes in place of weights."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
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
    """`model(config, dtype=dtype, rngs=...)` with `jax.ShapeDtypeStruct`s for weights."""
    key = AnyKey()
    key.params()  # made outside of the trace
    return nnx.eval_shape(lambda: model(config, dtype=dtype, rngs=key))
