"""Values handed in and out of a forward pass by name."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jaxtyping import Array


class Taps:
    """Names wanted and values given for one pass.

    Decided while tracing: a value given is used and its computation never appears in the program; a
    name neither given nor wanted leaves no trace at all.
    """

    def __init__(self, given: Mapping[str, Any], wanted: frozenset[str]):
        self.given, self.wanted = given, wanted
        self.found: dict[str, Any] = {}

    def __call__(self, name: str, compute: Callable[[], Array]) -> Array:
        """The value called `name`: the one given, else `compute()`; kept in `found` if wanted."""
        if name in self.given:
            value = self.given[name]
        else:
            with jax.named_scope(name):
                value = compute()
        if name in self.wanted:
            self.found[name] = value
        return value


NO_TAPS = Taps({}, frozenset())
"""Nothing given, nothing wanted."""
