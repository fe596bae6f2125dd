"""Residual blocks of a grouped convolution and a pointwise MLP: checks and choice of form."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from kernels_pallas import checks, dispatch
from kernels_pallas.conv2d.window import Window, window
from kernels_pallas.conv_blocks import reference, xla
from kernels_pallas.conv_blocks.weights import ACTIVATIONS, BlockWeights, folded

__all__ = ["OPS", "BlockWeights", "convfirst_block", "folded", "mbconv_block"]

OPS = {
    name: dispatch.Op(name, pallas=("mosaic_tpu",)) for name in ("convfirst_block", "mbconv_block")
}


class _How(NamedTuple):
    """How a call runs: what is not an array."""

    op: str
    groups: int
    window: Window
    activation: str
    residual: bool
    interpret: bool

    def options(self) -> dict[str, Any]:
        """Of a form's function."""
        return {
            "groups": self.groups,
            "window": self.window,
            "activation": self.activation,
            "residual": self.residual,
        }


def convfirst_block(
    x: jax.Array,
    weights: BlockWeights,
    *,
    groups: int,
    strides: int | tuple[int, int] = 1,
    padding: str | int | Sequence[Any] = "SAME",
    activation: str = "silu",
    implementation: str = "auto",
    interpret: bool = False,
) -> jax.Array:
    """x + W2 act(W1 (conv(x) + b0) + b1) + b2, the grouped convolution first.

    The ConvFirst block (arXiv 2404.03617) with batch norm folded into its weights (`folded`), as in
    inference; x is added where the result has its shape. Gradients are those with respect to the
    folded weights. On TPU there is one kernel for the block, which has not been timed and runs
    where it is asked for; its gradient computes the block again, layer by layer.

    Args:
        x: pictures [B, H, W, C].
        weights: kernel [R, S, C / groups, C], expand [C, E], project [E, K], and their biases.
        groups: of the convolution.
        strides, padding: of the convolution, as in `grouped_conv2d`.
        activation: "silu", "relu", "relu6" or "hard_swish".
        implementation: "auto", "reference", "xla", "pallas", or the Pallas form by its name.
        interpret: whether the Pallas form runs in the interpreter.

    Returns:
        [B, h, w, K] in the dtype of `x`; sums are at least float32.

    Raises:
        ValueError: shapes that do not fit, or a form that does not exist or cannot run here.
        TypeError: inputs that are not floating point, or of unequal dtypes.

    Cost: `cost.convfirst_block`, fused and layer by layer.
    """
    shapes = {"kernel": "R S G C", "kernel_bias": "C", "expand": "C E"}
    how = _how(
        "convfirst_block", x, weights, groups, strides, padding, activation, interpret, shapes
    )
    return _block(how, x, weights, implementation)


def mbconv_block(
    x: jax.Array,
    weights: BlockWeights,
    *,
    groups: int,
    strides: int | tuple[int, int] = 1,
    padding: str | int | Sequence[Any] = "SAME",
    activation: str = "silu",
    implementation: str = "auto",
    interpret: bool = False,
) -> jax.Array:
    """x + W2 act(conv(act(W1 x + b1)) + b0) + b2, the grouped convolution at the hidden width.

    The inverted residual of MobileNet V2 (arXiv 1801.04381), its groups of any width; all else as
    in `convfirst_block`.

    Args:
        x: pictures [B, H, W, C].
        weights: kernel [R, S, E / groups, E], expand [C, E], project [E, K], and their biases.
        groups, strides, padding, activation, implementation, interpret: as in `convfirst_block`.

    Returns:
        [B, h, w, K] in the dtype of `x`; sums are at least float32.

    Raises:
        ValueError: shapes that do not fit, or a form that does not exist or cannot run here.
        TypeError: inputs that are not floating point, or of unequal dtypes.

    Cost: `cost.mbconv_block`, fused and layer by layer.
    """
    shapes = {"expand": "C E", "kernel": "R S G E", "kernel_bias": "E"}
    how = _how("mbconv_block", x, weights, groups, strides, padding, activation, interpret, shapes)
    return _block(how, x, weights, implementation)


def _how(
    op: str,
    x: jax.Array,
    weights: BlockWeights,
    groups: int,
    strides: Any,
    padding: Any,
    activation: str,
    interpret: bool,
    shapes: dict[str, str],
) -> _How:
    """What a call asks for, if everything fits."""
    given = dict(zip(BlockWeights._fields, weights, strict=True))
    checks.floating(op, x=x, **given)
    checks.alike(op, x=x, **given)
    checks.option(op, "activation", activation, tuple(ACTIVATIONS))
    shapes = {**shapes, "expand_bias": "E", "project": "E K", "project_bias": "K"}
    sizes = checks.shapes(
        op, None, x=(x, "B H W C"), **{name: (given[name], shape) for name, shape in shapes.items()}
    )
    channels = weights.kernel.shape[3]
    if type(groups) is not int or groups < 1 or sizes["G"] * groups != channels:
        raise ValueError(
            f"{op}: groups={groups!r}; needed {channels} / {sizes['G']} for kernel of shape"
            f" {weights.kernel.shape}"
        )
    place = window(x.shape[1:3], weights.kernel.shape[:2], strides, padding, op)
    out = (*place.outputs(x.shape[1:3], weights.kernel.shape[:2]), sizes["K"])
    residual = place.strides == (1, 1) and out == x.shape[1:]
    return _How(op, groups, place, activation, residual, interpret)


def _block(how: _How, x: jax.Array, weights: BlockWeights, implementation: str) -> jax.Array:
    free = implementation == "auto" and not how.interpret

    def unfit(form: str) -> str:
        if free:
            return f"{form} has not been timed beside XLA's own"
        found: str = _module(form).unfit(how.op, x, weights, how.groups, how.window)
        return found

    form = OPS[how.op].choose(implementation, interpret=how.interpret, unfit=unfit)
    forms: dict[str, Callable[..., jax.Array]] = {
        "reference": functools.partial(getattr(reference, how.op), **how.options()),
        "xla": functools.partial(getattr(xla, how.op), **how.options()),
        "mosaic_tpu": functools.partial(_fused, how),
    }
    out: jax.Array = dispatch.run(form, forms, x, weights, fixed=not free)
    return out


def _module(form: str) -> Any:
    return importlib.import_module(f"{__name__}.{form}")


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _fused(how: _How, x: jax.Array, weights: BlockWeights) -> jax.Array:
    run = getattr(_module("mosaic_tpu"), how.op)
    found: jax.Array = run(x, weights, **how.options(), interpret=how.interpret)
    return found


def _saved(how: _How, x: jax.Array, weights: BlockWeights) -> Any:
    return _fused(how, x, weights), (x, weights)


def _backward(how: _How, saved: Any, out: jax.Array) -> Any:
    form = functools.partial(getattr(xla, how.op), **how.options())
    return jax.vjp(form, *saved)[1](out)


_fused.defvjp(_saved, _backward)
