"""What every call of the lab shares: its passes, their cost, and random arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from workbench.labs.kernels.knobs import Kernel

if TYPE_CHECKING:
    import jax

    from kernels_pallas.costs import Cost

Function = Callable[..., Any]


def passes(run: Function, knobs: Kernel) -> Function:
    """The function itself, or with the gradients of its arguments (its value as cotangent)."""
    if knobs.direction == "forward":
        return run

    def both(*arrays: jax.Array) -> Any:
        import jax

        out, back = jax.vjp(run, *arrays)
        return back(out)

    return both


def total(knobs: Kernel, formulas: Any, *shapes: Any, **sizes: Any) -> Cost:
    """Cost of the passes that are asked for, by an op's own formulas."""
    forward: Cost = formulas.forward(*shapes, **sizes)
    if knobs.direction == "forward":
        return forward
    return added(forward, formulas.backward(*shapes, **sizes))


def added(one: Cost, two: Cost) -> Cost:
    """Both costs, field by field."""
    return type(one)(*(a + b for a, b in zip(one, two, strict=True)))


def itemsize(knobs: Kernel) -> int:
    """Bytes of one input element."""
    return {"bfloat16": 2, "float32": 4}[knobs.dtype]


def normal(dtype: str, *shapes: Sequence[int]) -> list[jax.Array]:
    """Arrays of these shapes, normally distributed."""
    import jax

    keys = jax.random.split(jax.random.key(0), len(shapes))
    drawn = zip(keys, shapes, strict=True)
    return [jax.random.normal(key, shape).astype(dtype) for key, shape in drawn]


def log_decay(strength: float, shape: Sequence[int]) -> jax.Array:
    """Gates' logarithms whose mean is −strength."""
    import jax

    return -strength * jax.random.exponential(jax.random.key(7), shape)
