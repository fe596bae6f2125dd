"""Masks of a network's kernels by magnitude, and the network with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from workbench.vision.networks.convnet import ConvNet
from workbench.vision.pruning.layers import prunable
from workbench.vision.pruning.structures import Structure

Arrays = Mapping[str, Array]


def kernels(model: ConvNet, structure: Structure, *, dense: Sequence[str] = ()) -> dict[str, Array]:
    """The kernels that a structure prunes, by layer.

    Args:
        model, structure, dense: as in `layers.prunable`.

    Raises:
        ValueError: as in `layers.prunable`.
    """
    found = prunable(model, structure, dense=dense)
    return {name: layer.kernel[...] for name, layer in found.items()}


def masks(
    model: ConvNet,
    structure: Structure,
    *,
    sparsity: float | None = None,
    dense: Sequence[str] = (),
) -> dict[str, Array]:
    """Which weights stay, by layer: every layer is as sparse as the others (Zhu & Gupta 2017).

    Args:
        model, structure, dense: as in `layers.prunable`.
        sparsity: share that is dropped; the structure's own if None.

    Raises:
        ValueError: as in `layers.prunable`.
    """
    weights = kernels(model, structure, dense=dense)
    return {name: structure.mask(kernel, sparsity) for name, kernel in weights.items()}


def pruned(model: ConvNet, structure: Structure, *, dense: Sequence[str] = ()) -> ConvNet:
    """A copy without its smallest weights, pruned at once and not trained again.

    Args:
        model, structure, dense: as in `layers.prunable`.

    Raises:
        ValueError: as in `layers.prunable`.
    """
    return masked(model, masks(model, structure, dense=dense))


def masked(model: ConvNet, kept: Arrays) -> ConvNet:
    """A copy whose dropped weights are zero.

    Args:
        model: stays as it is.
        kept: booleans in the shape of each layer's kernel, by layer.

    Raises:
        ValueError: a layer there is not, or a mask of another shape.
    """
    copy: ConvNet = nnx.clone(model)
    layers = {".".join(map(str, path)): node for path, node in nnx.iter_graph(copy)}
    for name, mask in kept.items():
        layer: Any = layers.get(name)
        if layer is None or not hasattr(layer, "kernel"):
            raise ValueError(f"kept has {name!r}; the network has no such layer")
        kernel = layer.kernel[...]
        if mask.shape != kernel.shape:
            raise ValueError(
                f"kept[{name!r}] has shape {mask.shape}; the kernel's is {kernel.shape}"
            )
        layer.kernel[...] = jnp.where(mask, kernel, jnp.zeros_like(kernel))
    return copy


def density(kept: Arrays) -> float:
    """Share of the pruned layers' weights that stays."""
    total = sum(mask.size for mask in kept.values())
    return float(sum(int(jnp.sum(mask)) for mask in kept.values())) / total
