"""Layers of a network or of one block, read off a call on shapes: nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from workbench.model_files.abstract import abstract
from workbench.vision.blocks.row import Block
from workbench.vision.counts import LayerCost, called_layers, pictures
from workbench.vision.efficiency.layer import Layer
from workbench.vision.networks import ConvNet, NetworkConfig, build
from workbench.vision.squeeze import SqueezeExcite


def layers_of(
    network: NetworkConfig | ConvNet, *, size: int | tuple[int, int] | None = None
) -> tuple[Layer, ...]:
    """Every layer that is a kernel when layers run one by one, in their order.

    Args:
        network: a table, or a network with its weights; folded or not, its batch norms are counted
            as part of the convolutions before them.
        size: pixels, as in `layer_costs`.

    Raises:
        ValueError: pictures the network cannot read, or a table that cannot be built.
    """
    model = network if isinstance(network, ConvNet) else abstract(build, network, dtype=jnp.float32)
    x = pictures(model.config, size, 1)
    return _layers(model, called_layers(model, x), whole="")


def layers_of_block(block: Callable[[Any], Any], shape: Sequence[int]) -> tuple[Layer, ...]:
    """The same of one block alone.

    Args:
        block: a module, or a function that calls layers of `workbench.vision`.
        shape: [H, W, C] of its input.
    """
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    return _layers(block, called_layers(block, x), whole="block")


def _layers(model: Any, costs: Sequence[LayerCost], whole: str) -> tuple[Layer, ...]:
    tree = _Tree(model, whole)
    kept: list[LayerCost] = []
    biases: dict[str, int] = {}
    for cost in costs:
        if cost.kind == "batch norm":
            biases[kept[-1].name] = cost.params // 2
        else:
            kept.append(cost)
    found: list[Layer] = []
    for number, cost in enumerate(kept):
        before = kept[number - 1] if number else None
        after = kept[number + 1] if number + 1 < len(kept) else None
        block = tree.block(cost.name)
        ends = bool(block) and (after is None or tree.block(after.name) != block)
        starts = before is None or tree.block(before.name) != block or not block
        beside, adds = tree.beside(cost, before, starts, ends)
        taps, stride = _window(cost)
        found.append(
            Layer(
                name=cost.name,
                block=block,
                kind="gate" if tree.gated(cost.name) else cost.kind,
                macs=cost.macs,
                inputs=math.prod(cost.inputs),
                outputs=math.prod(cost.outputs),
                weights=cost.params + biases.get(cost.name, 0),
                beside=beside,
                group_size=cost.group_size if cost.kind == "conv" else 0,
                height=cost.inputs[1] if len(cost.inputs) == 4 else 0,
                width=cost.inputs[2] if len(cost.inputs) == 4 else 0,
                taps=taps,
                stride=stride,
                padding=0 if taps == stride else taps // 2,
                adds=adds,
            )
        )
    return tuple(found)


class _Tree:
    """Which block a layer is in, and what its block does with its input.

    Args:
        model: of the layers.
        whole: name of the block that the model itself is; empty where it is a network.
    """

    def __init__(self, model: Any, whole: str):
        nodes = nnx.iter_graph(model) if isinstance(model, nnx.Module) else ()
        self.modules = {".".join(map(str, path)): node for path, node in nodes}
        self.whole, self.model = whole, model
        self.blocks = {
            name: node for name, node in self.modules.items() if isinstance(node, Block) and name
        }
        self.maps: dict[str, int] = {}

    def block(self, layer: str) -> str:
        """The block's name; empty for a layer in none."""
        if self.whole:
            return self.whole
        return next((name for name in self.blocks if layer.startswith(f"{name}.")), "")

    def gated(self, layer: str) -> bool:
        """Whether it is one of squeeze-and-excitation's."""
        return isinstance(self.modules.get(layer.rpartition(".")[0]), SqueezeExcite)

    def beside(
        self, cost: LayerCost, before: LayerCost | None, starts: bool, ends: bool
    ) -> tuple[int, bool]:
        """Numbers moved beside a layer's own, and whether they are the added input."""
        if self.gated(cost.name):
            owner = cost.name.rpartition(".")[0]
            if owner not in self.maps:  # pools the map that the layer before made
                assert before is not None, "a gate weighs what a layer made"
                self.maps[owner] = math.prod(before.outputs)
                return self.maps[owner], False
            return 2 * self.maps[owner], False  # reads it and writes it weighed
        if ends and self._adds(cost):
            return math.prod(cost.outputs), True
        if starts and before is not None:
            made, read = math.prod(before.outputs), math.prod(cost.inputs)
            if read < made:  # pooled between: read whole, and written
                return made + read, False
        return 0, False

    def _adds(self, cost: LayerCost) -> bool:
        """Whether the block adds its input, or a shortcut's result, to what this layer made."""
        owner = self.model if self.whole else self.blocks.get(self.block(cost.name))
        return bool(getattr(owner, "skips", isinstance(owner, Block)))


def _window(cost: LayerCost) -> tuple[int, int]:
    """Taps a side and stride; 1 and 1 of what is no convolution."""
    if cost.kind != "conv":
        return 1, 1
    return cost.kernel[0], max(1, round(cost.inputs[1] / cost.outputs[1]))
