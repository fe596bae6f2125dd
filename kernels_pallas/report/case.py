"""One thing to compile: a form of an op at the shapes of a real model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax


class Case(NamedTuple):
    """A function and the shapes it is compiled for.

    Args:
        op: name of the op.
        direction: "forward", "backward", "decode" or "prefill".
        model: whose shapes they are ("340M", "1.3B").
        form: "mosaic_tpu" or "mosaic_gpu"; it is compiled for that form's devices.
        function: of arrays, with the form fixed inside.
        arrays: shapes and dtypes of its arguments.
    """

    op: str
    direction: str
    model: str
    form: str
    function: Callable[..., Any]
    arrays: Sequence[jax.ShapeDtypeStruct]

    @property
    def name(self) -> str:
        """The case in a few words."""
        return f"{self.op} {self.direction} {self.model}"
