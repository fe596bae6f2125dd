"""Arguments that do not fit, said once: the op, the argument, what came and what is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import checkify

SMALL = 1 << 16
"""Concrete arrays of up to this many elements have their values looked at without being asked."""


def arrays(op: str, **given: Any) -> None:
    """Every argument is an array.

    Raises:
        TypeError: naming the first that is not.
    """
    for name, value in given.items():
        if not (hasattr(value, "dtype") and hasattr(value, "shape")):
            raise TypeError(f"{op}: {name} is of type {type(value).__name__}; needed an array")


def floating(op: str, **given: jax.Array) -> None:
    """Every argument is an array of a floating type.

    Raises:
        TypeError: naming the first that is not.
    """
    arrays(op, **given)
    for name, array in given.items():
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"{op}: {name} has dtype {array.dtype}; needed a floating type")


def alike(op: str, **given: jax.Array) -> None:
    """Every array has the dtype of the first.

    Raises:
        TypeError: naming the first that differs.
    """
    (first, wanted), *others = given.items()
    for name, array in others:
        if array.dtype != wanted.dtype:
            raise TypeError(
                f"{op}: {name} has dtype {array.dtype} but {first} has {wanted.dtype};"
                " cast them alike"
            )


def shapes(op: str, known: Mapping[str, int] | None = None, **given: tuple[Any, str]) -> dict:
    """Binds the letters of shapes to sizes, in the order given, and returns them.

    `shapes(op, q=(q, "B T H K"), k=(k, "B T G K"))` gives the sizes of B, T, H, K and G. A number
    in a pattern stands for itself.

    Args:
        op: name for the error.
        known: letters already bound.
        given: array and pattern by the argument's name.

    Raises:
        TypeError: naming the first that is no array.
        ValueError: naming the first array whose shape does not fit, or that is empty.
    """
    arrays(op, **{name: array for name, (array, _) in given.items()})
    sizes = dict(known or {})
    for name, (array, pattern) in given.items():
        letters = pattern.split()
        shape = tuple(array.shape)
        wanted = [int(one) if one.isdigit() else sizes.get(one, one) for one in letters]
        fits = len(shape) == len(wanted) and all(
            isinstance(want, str) or want == size for want, size in zip(wanted, shape, strict=True)
        )
        if not fits:
            needed = ", ".join(str(want) for want in wanted)
            raise ValueError(
                f"{op}: {name} has shape {shape}; needed [{needed}] ({', '.join(letters)})"
            )
        if 0 in shape:
            raise ValueError(f"{op}: {name} has shape {shape}; no axis may be empty")
        sizes |= dict(zip(letters, shape, strict=True))
    return sizes


def divides(op: str, many: str, count: int, few: str, groups: int) -> None:
    """`groups` divides `count`.

    Raises:
        ValueError: naming both.
    """
    if count % groups:
        raise ValueError(f"{op}: {count} {many} cannot share {groups} {few}; needed a multiple")


def option(op: str, name: str, value: Any, allowed: Sequence[Any]) -> None:
    """`value` is one of `allowed`.

    Raises:
        ValueError: naming the argument.
    """
    if isinstance(value, jax.core.Tracer):
        raise ValueError(f"{op}: {name} is traced; it must be known, one of {list(allowed)}")
    if value not in allowed:
        raise ValueError(f"{op}: {name}={value!r}; choose one of {list(allowed)}")


def values(op: str, message: str, array: jax.Array, test: Any, validate: bool) -> None:
    """Checks values: at once where they are few and known, by `checkify` where it is asked for.

    Args:
        op: name for the error.
        message: what is wrong when the test fails, naming the argument.
        array: whose values are tested.
        test: from the array to booleans, true where a value is allowed. Write it so that NaN
            fails.
        validate: whether traced or large arrays are tested too. Inside `jit` the error reaches
            the caller through `jax.experimental.checkify.checkify`.

    Raises:
        ValueError: if the values are known and the test fails.
    """
    if isinstance(array, jax.core.Tracer):
        if validate:
            checkify.check(jnp.all(test(array)), f"{op}: {message}")
    elif validate or array.size <= SMALL:
        with jax.ensure_compile_time_eval():  # a known array stays known inside a trace
            right = bool(jnp.all(test(jnp.asarray(array))))
        if not right:
            raise ValueError(f"{op}: {message}")
