"""Convolution over the pixels of pictures: checks and choice of form; see `reference`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas import checks, dispatch, tuning
from kernels_pallas.conv2d import choice, gradient, reference, winograd, xla
from kernels_pallas.conv2d.window import Window, window
from kernels_pallas.conv2d.winograd import WinogradWeights

__all__ = ["OP", "WinogradWeights", "conv2d", "winograd_weights"]

OP = dispatch.Op("conv2d", cpu=("im2col", "winograd", "winograd_4x4"))


def conv2d(
    x: jax.Array,
    kernel: jax.Array | WinogradWeights,
    *,
    strides: int | tuple[int, int] = 1,
    padding: str | int | Sequence[Any] = "SAME",
    implementation: str = "auto",
) -> jax.Array:
    """out[b, i, j, k] = sum over r, s, c of x[b, i t + r - p, j t + s - p, c] kernel[r, s, c, k].

    Cross-correlation at stride t with p pixels of zeros around, as in every deep-learning library.
    On a CPU the form follows the shape, by measurements kept as data: XLA's convolution, one
    product over copied receptive fields ("im2col"), or minimal filtering, which needs 2.25 times
    fewer products for 3 x 3 kernels at stride 1 ("winograd": F(2 x 2, 3 x 3) of Lavin & Gray 2015,
    section 4.1). On accelerators it is XLA's, whose libraries choose for themselves; the op has
    no Pallas form.

    Args:
        x: pictures [B, H, W, C].
        kernel: [R, S, C, K]; or from `winograd_weights`, which is then not transformed at every
            call and takes 16/9 of the memory.
        strides: one number, or (rows, columns).
        padding: "SAME" for ceil(size / stride) outputs, with the odd pixel below and on the right;
            "VALID" for none; pixels on every side; or ((above, below), (left, right)).
        implementation: "auto"; "reference"; "xla"; and on any device by name "im2col", "winograd"
            or "winograd_4x4": F(4 x 4, 3 x 3), whose rounding errors are ten to twenty times
            larger and which "auto" therefore never takes.

    Returns:
        [B, h, w, K] in the dtype of `x`; sums are at least float32 on a CPU.

    Raises:
        ValueError: shapes that do not fit, or a form that does not exist or cannot run here.
        TypeError: inputs that are not floating point, or of unequal dtypes.

    Cost: 2 B h w R S C K FLOPs forward and twice that backward; bytes of x, kernel and result once
        (`cost.cost`); what minimal filtering saves and moves besides is `cost.winograd_cost`.
    """
    if isinstance(kernel, WinogradWeights):
        return _of_weights(x, kernel, strides, padding, implementation)
    checks.floating("conv2d", x=x, kernel=kernel)
    checks.alike("conv2d", x=x, kernel=kernel)
    checks.shapes("conv2d", x=(x, "B H W C"), kernel=(kernel, "R S C K"))
    place = window(x.shape[1:3], kernel.shape[:2], strides, padding)
    form = OP.choose(
        implementation, unfit=lambda name: _unfit(name, implementation, x, kernel, place)
    )
    forms = {
        "reference": functools.partial(reference.conv2d, window=place),
        "xla": functools.partial(xla.conv2d, window=place),
        **{name: functools.partial(gradient.conv2d, name, place) for name in OP.cpu},
    }
    out: jax.Array = dispatch.run(form, forms, x, kernel, fixed=implementation != "auto")
    return out


def winograd_weights(kernel: jax.Array) -> WinogradWeights:
    """G g G^T, for `conv2d` to take in place of a kernel: faster, for 16/9 of its memory.

    It pays where the weights are large beside the picture: on few pixels with many channels.

    Args:
        kernel: [3, 3, C, K]; half precision becomes float32.

    Raises:
        ValueError: another size of kernel.
        TypeError: not floating point.

    Cost: reads 9 C K weights and writes 16 C K.
    """
    checks.floating("winograd_weights", kernel=kernel)
    checks.shapes("winograd_weights", kernel=(kernel, "3 3 C K"))
    wide = gradient.wide(kernel)
    return WinogradWeights(jnp.stack(winograd.transformed(wide, winograd.F2)))


def _of_weights(
    x: jax.Array, weights: WinogradWeights, strides: Any, padding: Any, implementation: str
) -> jax.Array:
    checks.floating("conv2d", x=x, kernel=weights.values)
    checks.shapes("conv2d", x=(x, "B H W C"), kernel=(weights.values, "16 C K"))
    checks.option("conv2d", "implementation", implementation, ("auto", "winograd"))
    place = window(x.shape[1:3], (3, 3), strides, padding)
    if place.strides != (1, 1):
        raise ValueError(f"conv2d: strides={strides!r}; transformed weights are for strides of 1")
    wide = gradient.wide(x)
    values = weights.values.astype(wide.dtype)
    return winograd.conv2d_of_weights(wide, WinogradWeights(values), place).astype(x.dtype)


def _unfit(form: str, implementation: str, x: jax.Array, kernel: jax.Array, place: Window) -> str:
    """Why a form cannot take these inputs or, where it is free to choose, does not."""
    if form.startswith("winograd") and (kernel.shape[:2] != (3, 3) or place.strides != (1, 1)):
        return (
            "minimal filtering is for 3 x 3 kernels at stride 1, not"
            f" {kernel.shape[0]} x {kernel.shape[1]} at {place.strides}"
        )
    if implementation != "auto":
        return ""
    if jnp.finfo(x.dtype).bits > 32:
        return f"no form was measured for {x.dtype}"
    fastest = choice.fastest(x.shape, kernel.shape, place)
    return "" if form == fastest else f"{fastest} is faster here, {tuning.basis(OP.name)}"
