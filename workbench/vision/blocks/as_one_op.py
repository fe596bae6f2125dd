"""A folded block's layers as the weights of one op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from kernels_pallas.activations import ACTIVATIONS
from kernels_pallas.convfirst_block import BlockWeights
from workbench.vision.layers import Conv
from workbench.vision.norms import FoldedNorm
from workbench.vision.observing import watched


def can_be_one_op(block: Any, *layers: Conv) -> bool:
    """Whether a block's norms are folded and the op has its layers and its activation.

    Args:
        block: with `folds` and the name of its activation.
        layers: its convolutions, which may have been packed.
    """
    folded = all(isinstance(getattr(block, norm), FoldedNorm) for _, norm in block.folds)
    plain = all(type(layer) is Conv for layer in layers)
    return folded and plain and block.activation in ACTIVATIONS


def runs_as_one_op(block: Any, training: nnx.Rngs | None) -> bool:
    """Whether a block is fused, and nobody watches its layers or trains them."""
    return bool(block.fused) and training is None and not watched()


def as_one_op(
    op: Callable[..., Array],
    x: Float[Array, "B H W C"],
    spatial: Conv,
    expand: Conv,
    project: Conv,
    activation: str,
    residual: bool,
    form: str,
) -> Float[Array, "B h w K"]:
    """The block's result.

    Args:
        op: `convfirst_block` or `mbconv_block`.
        x: pictures.
        spatial, expand, project: its folded convolutions.
        activation: by name.
        residual: whether x is added.
        form: the op's implementation.
    """
    kernels = [layer.kernel[...].astype(spatial.dtype) for layer in (spatial, expand, project)]
    biases = [
        jnp.zeros(layer.kernel.shape[-1:], spatial.dtype)
        if layer.bias is None
        else layer.bias[...].astype(spatial.dtype)
        for layer in (spatial, expand, project)
    ]
    weights = BlockWeights(
        kernels[0], biases[0], kernels[1][0, 0], biases[1], kernels[2][0, 0], biases[2]
    )
    return op(
        x,
        weights,
        groups=spatial.groups,
        activation=activation,
        strides=spatial.stride,
        padding="SAME" if spatial.padding == "same" else spatial.padding,
        residual=residual,
        implementation=form,
    )
