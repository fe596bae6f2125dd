"""The speed of a pruned network as its arithmetic and bytes allow it: modelled, never measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array

from workbench.measure.cost import Cost
from workbench.measure.roofline import Peaks, roofline
from workbench.vision.counts import LayerCost, layer_costs
from workbench.vision.networks.convnet import ConvNet
from workbench.vision.pruning import places
from workbench.vision.pruning.structures import Blocks, NOfM, Structure

XNNPACK_ZEROS = 2 / 3
"""Share of zeros among the weights of a network's pointwise convolutions above which XNNPACK runs
them sparse: `num_zeroes * 3 > num_params * 2` in its graph pass."""


@dataclass(frozen=True)
class ModelledLayer:
    """One pruned layer.

    Args:
        name: as `layer_costs` has it.
        dense: cost of the whole kernel.
        sparse: cost of the weights that stay, and of saying which those are.
        dense_seconds, sparse_seconds: what a device allows at best for both [s].
    """

    name: str
    dense: Cost
    sparse: Cost
    dense_seconds: float
    sparse_seconds: float


@dataclass(frozen=True)
class ModelledSpeed:
    """A pruned network on one device, modelled: every kept weight at the device's dense rate.

    No present device reaches that with zeros that have no structure, so it is a bound.

    Args:
        layers: those that were pruned.
        others_seconds: of all other layers [s].
        zeros: share of zeros in pointwise convolutions.
        device: rates it is modelled for, in words.
    """

    layers: tuple[ModelledLayer, ...]
    others_seconds: float
    zeros: float
    device: str
    basis: str = "modelled"

    @property
    def dense_seconds(self) -> float:
        """Of the network with all weights [s]."""
        return self.others_seconds + sum(layer.dense_seconds for layer in self.layers)

    @property
    def sparse_seconds(self) -> float:
        """Of the pruned network [s]."""
        return self.others_seconds + sum(layer.sparse_seconds for layer in self.layers)

    @property
    def speedup(self) -> float:
        """Dense over sparse time."""
        return self.dense_seconds / self.sparse_seconds

    @property
    def sparse_in_xnnpack(self) -> bool:
        """Whether XNNPACK would run the pointwise convolutions sparse: the rule of two thirds.

        Its rule is for each connected part of a network; here all of them are taken as one.
        """
        return self.zeros > XNNPACK_ZEROS


def modelled(
    model: ConvNet,
    structure: Structure,
    kept: Mapping[str, Array],
    peaks: Peaks,
    *,
    dtype: str = "float32",
    size: int | tuple[int, int] | None = None,
    batch: int = 1,
    itemsize: int = 4,
) -> ModelledSpeed:
    """What pruning saves at best, by the larger of arithmetic and bytes of each layer.

    Args:
        model: the network.
        structure: which says how places are stored: ceil(log2 M) bits a weight for N of M, two
            numbers of four bytes a block, four bytes a single weight and an output channel
            (XNNPACK's format).
        kept: masks by layer.
        peaks: of the device.
        dtype: whose peak bounds arithmetic.
        size, batch, itemsize: as in `layer_costs`.

    Raises:
        ValueError: masks of layers there are not, or peaks without the dtype.
    """
    costs = layer_costs(model, size=size, batch=batch, itemsize=itemsize)
    unknown = set(kept) - {layer.name for layer in costs}
    if unknown:
        raise ValueError(f"kept has {sorted(unknown)[0]!r}; the network has no such layer")

    def seconds(cost: Cost) -> float:
        return roofline(cost, peaks, dtype).seconds

    layers, others = [], 0.0
    for layer in costs:
        dense = Cost(macs=layer.macs, bytes_moved=layer.bytes_moved, basis="modelled")
        if layer.name not in kept:
            others += seconds(dense)
            continue
        mask = kept[layer.name]
        stay = int(jnp.sum(mask))
        held = _held(structure, stay, mask.shape[-1])
        sparse = places.cost_of(layer.macs, layer.bytes_moved, mask.size, stay, held, itemsize)
        layers.append(ModelledLayer(layer.name, dense, sparse, seconds(dense), seconds(sparse)))
    zeros = _zeros(costs, kept)
    return ModelledSpeed(tuple(layers), others, zeros, peaks.label(dtype))


def _held(structure: Structure, stay: int, outputs: int) -> int:
    if isinstance(structure, NOfM):
        return places.of_n_of_m(stay, structure.m)
    if isinstance(structure, Blocks):
        return places.of_blocks(stay, structure.size)
    return places.of_single_weights(stay, outputs)


def _zeros(costs: tuple[LayerCost, ...], kept: Mapping[str, Array]) -> float:
    pointwise = [layer for layer in costs if layer.kind == "conv" and layer.kernel[:2] == (1, 1)]
    total = sum(math.prod(layer.kernel) for layer in pointwise)
    names = {layer.name for layer in pointwise}
    gone = sum(mask.size - int(jnp.sum(mask)) for name, mask in kept.items() if name in names)
    return gone / total if total else 0.0
