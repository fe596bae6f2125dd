"""Batch norms and layer scales as part of the layers before them: the same function, fewer steps.

W' = W s,  b' = β + (b - μ) s,  s = γ / sqrt(σ² + ε),  by output channel
"""

from __future__ import annotations

from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx

from workbench.vision.norms import FoldedNorm

Model = TypeVar("Model", bound=nnx.Module)


def folded(model: Model) -> Model:
    """A copy for inference whose batch norms and layer scales are folded away.

    Exact but for rounding: the products are taken in float64. The copy answers as the model does,
    can be counted and timed, and neither trained nor written to a file; int8 kernels become floats.

    Args:
        model: a network or a block with its weights; it stays as it is.
    """
    copy: Model = nnx.clone(model)
    modules: list[Any] = [node for _, node in nnx.iter_graph(copy) if isinstance(node, nnx.Module)]
    for module in modules:
        for conv, norm in getattr(module, "folds", ()):
            _fold(module, conv, norm)
    for module in modules:
        gamma = getattr(module, "gamma", None)
        if gamma is not None:
            _weigh(module.scaled, _wide(gamma), np.zeros(gamma.shape))
            module.gamma = nnx.static(None)
    return copy


def _fold(owner: nnx.Module, conv: str, norm: str) -> None:
    layer = getattr(owner, norm)
    if isinstance(layer, FoldedNorm):
        return
    scale = _wide(layer.scale) / np.sqrt(_wide(layer.running_var) + layer.eps)
    _weigh(getattr(owner, conv), scale, _wide(layer.bias) - _wide(layer.running_mean) * scale)
    setattr(owner, norm, FoldedNorm())


def _weigh(layer: Any, scale: np.ndarray, offset: np.ndarray) -> None:
    """Makes a layer's result y into scale y + offset, by output channel."""
    kernel = _wide(layer.kernel)
    bias = np.zeros(scale.shape) if layer.bias is None else _wide(layer.bias)
    layer.kernel = nnx.Param(jnp.asarray(kernel * scale, jnp.float32))
    layer.bias = nnx.data(nnx.Param(jnp.asarray(bias * scale + offset, jnp.float32)))


def _wide(variable: Any) -> np.ndarray:
    return np.asarray(variable[...], np.float64)
