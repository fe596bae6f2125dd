"""The gated recurrence h_t = f_t h_{t-1} + x_t: checks, gradient and choice of form."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kernels_pallas import checks, dispatch, manual
from kernels_pallas.dispatch import Op
from kernels_pallas.gated_recurrence import reference, xla

__all__ = ["OP", "gated_recurrence"]

OP = Op("gated_recurrence", pallas=("mosaic_tpu", "mosaic_gpu"))

_DTYPES = {
    "mosaic_tpu": ("float32", "bfloat16"),
    "mosaic_gpu": ("float32", "bfloat16", "float16"),
}


class _How(NamedTuple):
    """How a call runs: what is not an array."""

    form: str
    fixed: bool
    reverse: bool
    interpret: bool


def gated_recurrence(
    decay: jax.Array,
    x: jax.Array,
    *,
    initial: jax.Array | None = None,
    reverse: bool = False,
    implementation: str = "auto",
    interpret: bool = False,
) -> jax.Array:
    """h_t = f_t h_{t-1} + x_t, element by element over axis 1.

    The token mixer of MatMul-free LM (MLGRU, arXiv 2406.02528), there with x_t = (1 - f_t) c_t. Its
    gradient is the same recurrence the other way round: g_t = dh_t + f_{t+1} g_{t+1}, dx_t = g_t,
    df_t = g_t h_{t-1}.

    Args:
        decay: f [B, T, ...], of any sign and size; a floating type, its own.
        x: [B, T, ...] of the same shape.
        initial: h before the first step (after the last, if `reverse`), [B, ...]; zero when None.
        reverse: runs from the last step to the first: h_t = f_t h_{t+1} + x_t.
        implementation: "auto", "reference", "xla", "pallas", or a Pallas form by its name.
        interpret: whether a Pallas form runs in the interpreter.

    Returns:
        h [B, T, ...] in the dtype of `x`, carried in float32 (in float64 where an input is).

    Raises:
        ValueError: shapes that do not fit, or an implementation that does not exist or cannot run.
        TypeError: inputs that are not floating point.

    Cost: B T D multiply-accumulates forward and two for each of these backward; three arrays of
    B T D elements moved forward and five backward. The gradient keeps decay and h, no more.
    """
    checks.option(OP.name, "reverse", reverse, (True, False))
    _check(decay, x, initial)
    shape, features = x.shape, x.shape[2:]
    carried = jnp.float64 if _wide(decay, x, initial) else jnp.float32
    if initial is None:
        initial = jnp.zeros((shape[0], *features), carried)
    flat = [
        decay.reshape(*shape[:2], -1),
        x.reshape(*shape[:2], -1),
        initial.astype(carried).reshape(shape[0], -1),
    ]
    flat = manual.alike(flat)
    form = OP.choose(implementation, interpret=interpret, unfit=partial(_unfit, flat))
    if form == "reference":
        return reference.gated_recurrence(*flat, reverse=reverse).reshape(shape)
    how = _How(form, implementation != "auto" or interpret, bool(reverse), interpret)
    return _recurrence(how, *flat).reshape(shape)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recurrence(how: _How, decay: jax.Array, x: jax.Array, initial: jax.Array) -> jax.Array:
    forms = _forms(how, "forward")
    return dispatch.run(how.form, forms, decay, x, initial, fixed=how.fixed)


def _saved(how: _How, decay: jax.Array, x: jax.Array, initial: jax.Array) -> tuple[Any, Any]:
    states = _recurrence(how, decay, x, initial)
    return states, (decay, states, initial)


def _gradients(how: _How, saved: tuple[jax.Array, ...], out_grad: jax.Array) -> tuple[Any, ...]:
    forms = _forms(how, "backward")
    return tuple(dispatch.run(how.form, forms, *saved, out_grad, fixed=how.fixed))


_recurrence.defvjp(_saved, _gradients)


def _forms(how: _How, direction: str) -> dict[str, Callable]:
    forms: dict[str, Callable] = {"xla": partial(getattr(xla, direction), reverse=how.reverse)}
    if how.form not in OP.pallas:
        return forms
    run = getattr(importlib.import_module(f"{__name__}.{how.form}"), direction)
    return {**forms, how.form: partial(run, reverse=how.reverse, interpret=how.interpret)}


def _wide(*arrays: jax.Array | None) -> bool:
    return any(array is not None and array.dtype == jnp.float64 for array in arrays)


def _unfit(arrays: list[jax.Array], form: str) -> str:
    for name, array in zip(("decay", "x", "initial"), arrays, strict=True):
        if array.dtype.name not in _DTYPES[form]:
            return f"{name} has dtype {array.dtype}; {form} takes {', '.join(_DTYPES[form])}"
    return ""


def _check(decay: jax.Array, x: jax.Array, initial: jax.Array | None) -> None:
    op = OP.name
    given = {"decay": decay, "x": x} | ({} if initial is None else {"initial": initial})
    checks.floating(op, **given)
    if x.ndim < 3:
        raise ValueError(f"{op}: x has shape {x.shape}; needed [batch, time, ...], rank 3 or more")
    features = " ".join(f"D{axis}" for axis in range(1, x.ndim - 1))
    sizes = checks.shapes(op, x=(x, f"B T {features}"), decay=(decay, f"B T {features}"))
    if initial is not None:
        checks.shapes(op, sizes, initial=(initial, f"B {features}"))
