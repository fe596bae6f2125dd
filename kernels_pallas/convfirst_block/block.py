"""Blocks that are one op: their folded weights, what is known while tracing, choice of form."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from kernels_pallas import checks, dispatch
from kernels_pallas.activations import ACTIVATIONS
from kernels_pallas.conv2d.window import Window, window
from kernels_pallas.recomputed import recomputed


class BlockWeights(NamedTuple):
    """Weights of a block whose batch norms are folded into them.

    Args:
        kernel: of the spatial convolution, [R, S, channels of a group, channels].
        bias: of its channels.
        expand: [C, E], the pointwise layer to more channels.
        expand_bias: [E].
        project: [E, K], the pointwise layer back.
        project_bias: [K].
    """

    kernel: jax.Array
    bias: jax.Array
    expand: jax.Array
    expand_bias: jax.Array
    project: jax.Array
    project_bias: jax.Array

    def astype(self, dtype: Any) -> BlockWeights:
        """All in one dtype."""
        return BlockWeights(*(one.astype(dtype) for one in self))


class Known(NamedTuple):
    """What of a call is no array.

    Args:
        groups: of the spatial convolution.
        window: its strides and padding.
        activation: one of `ACTIVATIONS`.
        residual: whether the input is added.
    """

    groups: int
    window: Window
    activation: str
    residual: bool


def known(
    op: str,
    x: jax.Array,
    weights: BlockWeights,
    *,
    spatial: str,
    groups: int,
    activation: str,
    strides: Any,
    padding: Any,
    residual: bool | None,
) -> Known:
    """What is static of a call whose arguments fit together.

    Args:
        op: name for errors.
        x, weights: arrays.
        spatial: letter of the spatial convolution's channels: "C" before expanding, "E" after.
        groups, activation, strides, padding, residual: as the op takes them.

    Raises:
        TypeError: weights that are none, or inputs that are not floating point or unequal dtypes.
        ValueError: naming the argument that does not fit.
    """
    if not isinstance(weights, BlockWeights):
        raise TypeError(f"{op}: weights is of type {type(weights).__name__}; needed BlockWeights")
    named = weights._asdict()
    checks.floating(op, x=x, **named)
    checks.alike(op, x=x, **named)
    if type(groups) is not int or groups < 1:
        raise ValueError(f"{op}: groups={groups!r}; needed a whole number from 1 on")
    checks.option(op, "activation", activation, tuple(ACTIVATIONS))
    sizes = checks.shapes(
        op,
        x=(x, "B H W C"),
        expand=(weights.expand, "C E"),
        expand_bias=(weights.expand_bias, "E"),
    )
    channels = sizes[spatial]
    checks.divides(op, "channels of the spatial convolution", channels, "groups", groups)
    sizes = checks.shapes(
        op,
        sizes,
        kernel=(weights.kernel, f"R S {channels // groups} {channels}"),
        bias=(weights.bias, f"{channels}"),
        project=(weights.project, "E K"),
        project_bias=(weights.project_bias, "K"),
    )
    place = window(x.shape[1:3], weights.kernel.shape[:2], strides, padding, op)
    agree = (*place.outputs(x.shape[1:3], weights.kernel.shape[:2]), sizes["K"]) == x.shape[1:]
    if residual and not agree:
        raise ValueError(
            f"{op}: residual=True, but the result is not of the shape of x, {tuple(x.shape)};"
            " needed stride 1, padding that keeps the size, and as many channels out as in"
        )
    return Known(groups, place, activation, agree if residual is None else bool(residual))


def in_form(
    op: dispatch.Op,
    x: jax.Array,
    weights: BlockWeights,
    how: Known,
    implementation: str,
    interpret: bool,
) -> jax.Array:
    """The block in the form that was asked for or, where the op is free to choose, in XLA's.

    Gradients of every form but the reference are those of XLA's layers, computed again.

    Args:
        op: whose folder has a module for each form, with a function of the op's name.
        x, weights, how: of a call that fits together.
        implementation, interpret: as the op takes them.

    Raises:
        ValueError: a form that does not exist or cannot run here.
    """
    free = implementation == "auto" and not interpret

    def module(form: str) -> Any:
        return importlib.import_module(f"kernels_pallas.{op.name}.{form}")

    def function(form: str, **more: Any) -> Callable[..., jax.Array]:
        return functools.partial(getattr(module(form), op.name), how=how, **more)

    def unfit(form: str) -> str:
        if free:
            return f"{form} has not been timed beside XLA's own"
        return str(module(form).unfit(x, weights, how))

    form = op.choose(implementation, interpret=interpret, unfit=unfit)
    plain = function("xla")
    forms: dict[str, Callable[..., jax.Array]] = {
        "reference": function("reference"),
        "xla": functools.partial(recomputed, plain, plain),
    }
    if form in op.pallas:
        fast = function(form, interpret=interpret)
        forms[form] = functools.partial(recomputed, fast, plain)
    out: jax.Array = dispatch.run(form, forms, x, weights, fixed=not free)
    return out
