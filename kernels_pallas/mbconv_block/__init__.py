"""An MBConv block as one op: checks and choice of form; see `reference`."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import jax

from kernels_pallas import dispatch
from kernels_pallas.convfirst_block.block import BlockWeights, Known, known
from kernels_pallas.mbconv_block import reference, xla
from kernels_pallas.recomputed import recomputed

__all__ = ["OP", "BlockWeights", "mbconv_block"]

OP = dispatch.Op("mbconv_block", pallas=("mosaic_tpu",))


def mbconv_block(
    x: jax.Array,
    weights: BlockWeights,
    *,
    groups: int,
    activation: str = "silu",
    strides: int | tuple[int, int] = 1,
    padding: str | int | Sequence[Any] = "SAME",
    residual: bool | None = None,
    implementation: str = "auto",
    interpret: bool = False,
) -> jax.Array:
    """y = act(act(x W1 + b1) * kernel + b) W2 + b2 (+ x), batch norms folded into the weights.

    The inverted residual of Sandler et al. 2018, section 3.3, without squeeze-and-excitation, as
    one op (Lavin 2024, arXiv 2404.03617). In one kernel the hidden channels, before and after the
    convolution, do not pass through memory; "xla" is the layers one after the other. The kernel for
    TPU has not been timed, and runs where it is asked for. Gradients are those of the layers, with
    all between them computed again.

    Args:
        x: pictures [B, H, W, C].
        weights: kernel [R, S, E / groups, E], expand [C, E], project [E, K], and their biases.
        groups: of the convolution; divides E.
        activation: "silu", "relu", "relu6" or "hard_swish".
        strides, padding: of the convolution, as in `grouped_conv2d`.
        residual: whether x is added; where the shapes agree if None.
        implementation: "auto"; "reference"; "xla"; "pallas"; or "mosaic_tpu".
        interpret: whether the Pallas form runs in the interpreter.

    Returns:
        [B, h, w, K] in the dtype of `x`.

    Raises:
        ValueError: arguments that do not fit, or a form that does not exist or cannot run here.
        TypeError: inputs that are not floating point, or of unequal dtypes.

    Cost: 2 B H W C E + 2 B h w (R S (E / groups) E + E K) FLOPs, four times that with gradients;
        bytes of x, result and weights in one kernel, of every layer's tensors else (`cost.cost`).
    """
    how = known(
        OP.name,
        x,
        weights,
        spatial="E",
        groups=groups,
        activation=activation,
        strides=strides,
        padding=padding,
        residual=residual,
    )
    free = implementation == "auto" and not interpret
    form = OP.choose(
        implementation,
        interpret=interpret,
        unfit=lambda name: _unfit(name, free, x, weights, how),
    )
    plain = functools.partial(xla.mbconv_block, how=how)
    forms: dict[str, Callable[..., jax.Array]] = {
        "reference": functools.partial(reference.mbconv_block, how=how),
        "xla": functools.partial(recomputed, plain, plain),
    }
    if form in OP.pallas:
        fast = functools.partial(_kernel(form).mbconv_block, how=how, interpret=interpret)
        forms[form] = functools.partial(recomputed, fast, plain)
    out: jax.Array = dispatch.run(form, forms, x, weights, fixed=not free)
    return out


def _unfit(form: str, free: bool, x: jax.Array, weights: BlockWeights, how: Known) -> str:
    """Why a kernel cannot take these inputs or, where the op is free to choose, does not."""
    if free:
        return f"{form} has not been timed beside XLA's own"
    return str(_kernel(form).unfit(x, weights, how))


def _kernel(form: str) -> Any:
    return importlib.import_module(f"{__name__}.{form}")
