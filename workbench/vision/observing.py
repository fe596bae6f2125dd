"""Watching which layers a network calls, and on what shapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from flax import nnx
from jaxtyping import Array

Shape = tuple[int, ...]


class Call(NamedTuple):
    """One call of a layer with weights.

    Args:
        layer: the module.
        inputs, outputs: shapes, the batch first.
    """

    layer: nnx.Module
    inputs: Shape
    outputs: Shape


_CALLS: ContextVar[list[Call] | None] = ContextVar("calls", default=None)


@contextmanager
def observed() -> Iterator[list[Call]]:
    """Calls of layers made inside, in their order; it can be an abstract evaluation."""
    calls: list[Call] = []
    token = _CALLS.set(calls)
    try:
        yield calls
    finally:
        _CALLS.reset(token)


def watched() -> bool:
    """Whether somebody watches, who wants shapes: XLA's plain forms are the fastest to trace."""
    return _CALLS.get() is not None


def seen(layer: nnx.Module, x: Array, y: Array) -> Array:
    """y, the result of a layer; noted where somebody watches."""
    calls = _CALLS.get()
    if calls is not None:
        calls.append(Call(layer, x.shape, y.shape))
    return y
