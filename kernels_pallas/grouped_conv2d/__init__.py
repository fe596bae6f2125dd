"""Convolution of channels in groups, depthwise too: checks and choice of form; see `reference`."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import jax

from kernels_pallas import checks, dispatch, tuning
from kernels_pallas.conv2d.window import Window, window
from kernels_pallas.grouped_conv2d import choice, gradient, reference, xla

__all__ = ["OP", "grouped_conv2d"]

OP = dispatch.Op(
    "grouped_conv2d",
    pallas=("mosaic_tpu",),
    cpu=tuple(form for form in gradient.FORMS if form != "xla"),
)


def grouped_conv2d(
    x: jax.Array,
    kernel: jax.Array,
    *,
    groups: int,
    strides: int | tuple[int, int] = 1,
    padding: str | int | Sequence[Any] = "SAME",
    implementation: str = "auto",
    interpret: bool = False,
) -> jax.Array:
    """out[.., j M + m] = sum over r, s, c of x[.. r, s .., j G + c] kernel[r, s, c, j M + m].

    The convolution of `kernels_pallas.conv2d` in which an output channel sees its group's G
    inputs alone: depthwise where G is 1. On a CPU the form follows the shape, by measurements kept
    as data: one multiply-add a tap and input channel in one loop ("taps"), of a block of channels
    after the other where kernels are large ("taps_blocks"); a convolution for each group
    ("per_group"), for some pixels of a row at once ("beside_2", ...) or for neighbouring groups as
    one ("merged_16", ...); or XLA's own. Gradients take forms of their own, chosen alike: that to x
    is such a convolution again, that to the kernel is sums or products of pixels and slopes. XLA's
    grouped convolution is slower there at all layers of the networks here, and its gradients by
    far. Some forms multiply with zeros, and a pixel that is not a number then spoils those beside
    it. On GPUs the op is XLA's convolution: there is no kernel of ours. For TPU there is one, for
    strides of 1 and groups of 1, 2, 4, ... 128 channels to as many; it has not been timed, so that
    it runs where it is asked for, and "auto" is XLA's.

    Args:
        x: pictures [B, H, W, C].
        kernel: [R, S, C / groups, K]; the K / groups channels of one group lie side by side.
        groups: of channels; divides C and K. C for a depthwise convolution.
        strides: one number, or (rows, columns).
        padding: "SAME" for ceil(size / stride) outputs, with the odd pixel below and on the right;
            "VALID" for none; pixels on every side; or ((above, below), (left, right)).
        implementation: "auto"; "reference"; "xla"; "pallas"; or a form by its name: those of a CPU
            on any device, and then gradients to x take it too.
        interpret: whether the Pallas form runs in the interpreter.

    Returns:
        [B, h, w, K] in the dtype of `x`; sums are at least float32 on a CPU.

    Raises:
        ValueError: shapes that do not fit, or a form that does not exist or cannot run here.
        TypeError: inputs that are not floating point, or of unequal dtypes.

    Cost: 2 B h w R S (C / groups) K FLOPs forward and twice that backward; bytes of x, kernel and
        result once (`cost.cost`).
    """
    place = _check(x, kernel, groups, strides, padding)
    free = implementation == "auto" and not interpret
    form = OP.choose(
        implementation,
        interpret=interpret,
        unfit=lambda name: _unfit(name, free, x, kernel, groups, place),
    )
    forms: dict[str, Callable[..., jax.Array]] = {
        "reference": functools.partial(reference.grouped_conv2d, groups=groups, window=place),
        "xla": functools.partial(xla.grouped_conv2d, groups=groups, window=place),
        **{
            name: functools.partial(
                gradient.grouped_conv2d, gradient.How(name, groups, place, interpret, free)
            )
            for name in (*OP.pallas, *OP.cpu)
        },
    }
    out: jax.Array = dispatch.run(form, forms, x, kernel, fixed=not free)
    return out


def _check(x: jax.Array, kernel: jax.Array, groups: int, strides: Any, padding: Any) -> Window:
    """Where the kernel lies, if everything fits."""
    op = OP.name
    checks.floating(op, x=x, kernel=kernel)
    checks.alike(op, x=x, kernel=kernel)
    if type(groups) is not int or groups < 1:
        raise ValueError(f"{op}: groups={groups!r}; needed a whole number from 1 on")
    channels = checks.shapes(op, x=(x, "B H W C"))["C"]
    checks.divides(op, "channels of x", channels, "groups", groups)
    checks.shapes(op, kernel=(kernel, f"R S {channels // groups} K"))
    checks.divides(op, "output channels of kernel", kernel.shape[3], "groups", groups)
    return window(x.shape[1:3], kernel.shape[:2], strides, padding, op)


def _unfit(
    form: str, free: bool, x: jax.Array, kernel: jax.Array, groups: int, place: Window
) -> str:
    """Why a form cannot take these inputs or, where the op is free to choose, does not."""
    if form in OP.pallas:
        if free:
            return f"{form} has not been timed beside XLA's own"
        kernels = importlib.import_module(f"{__name__}.{form}")
        return str(kernels.unfit(x, kernel, groups, place))
    if not free:
        return ""
    fastest = choice.fastest(x.shape, kernel.shape, groups, place)
    return "" if form == fastest else f"{fastest} is faster here, {tuning.basis(OP.name)}"
