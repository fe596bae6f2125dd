"""An MBConv block as one op: checks and choice of form; see `reference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from kernels_pallas import dispatch
from kernels_pallas.convfirst_block.block import BlockWeights, in_form, known

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
    return in_form(OP, x, weights, how, implementation, interpret)
