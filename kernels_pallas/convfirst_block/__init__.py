"""A ConvFirst block as one op: checks and choice of form; see `reference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from kernels_pallas import dispatch
from kernels_pallas.convfirst_block.block import BlockWeights, in_form, known

__all__ = ["OP", "BlockWeights", "convfirst_block"]

OP = dispatch.Op("convfirst_block", pallas=("mosaic_tpu", "mosaic_gpu"), wgmma=True)


def convfirst_block(
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
    """y = act((x * kernel + b) W1 + b1) W2 + b2 (+ x), batch norms folded into the weights.

    The residual block of Lavin 2024 (arXiv 2404.03617): a grouped convolution, which has no
    activation, before the pointwise layers. In one kernel neither the convolution's result nor the
    hidden channels pass through memory; "xla" is the layers one after the other. The kernels run
    where they are asked for: that for TPU has not been timed, that for Hopper at one early stage
    (4.0 times as fast as the layers, `benchmarks/fused_block_gpu.py`). Gradients are those of the
    layers, with all between them computed again.

    Args:
        x: pictures [B, H, W, C].
        weights: kernel [R, S, C / groups, C], expand [C, E], project [E, K], and their biases.
        groups: of the convolution; divides C.
        activation: "silu", "relu", "relu6" or "hard_swish".
        strides, padding: of the convolution, as in `grouped_conv2d`.
        residual: whether x is added; where the shapes agree if None.
        implementation: "auto"; "reference"; "xla"; "pallas"; "mosaic_tpu"; or "mosaic_gpu".
        interpret: whether the Pallas form runs in the interpreter.

    Returns:
        [B, h, w, K] in the dtype of `x`.

    Raises:
        ValueError: arguments that do not fit, or a form that does not exist or cannot run here.
        TypeError: inputs that are not floating point, or of unequal dtypes.

    Cost: 2 B h w (R S (C / groups) C + C E + E K) FLOPs, four times that with gradients;
        bytes of x, result and weights in one kernel, of every layer's tensors else (`cost.cost`).
    """
    how = known(
        OP.name,
        x,
        weights,
        spatial="C",
        groups=groups,
        activation=activation,
        strides=strides,
        padding=padding,
        residual=residual,
    )
    return in_form(OP, x, weights, how, implementation, interpret)
