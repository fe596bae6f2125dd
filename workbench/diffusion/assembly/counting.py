"""What a UNet weighs and costs, block by block, from its configuration alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from workbench.diffusion.assembly.assembling import assemble, module_shapes
from workbench.diffusion.assembly.dropping import droppable
from workbench.diffusion.costs import UNetShape, full_cost, node_costs
from workbench.diffusion.unet import UNetConfig


@dataclass(frozen=True)
class Count:
    """Of one UNet, or of one of its blocks.

    Attributes:
        parameters: how many.
        macs: multiply-accumulates of one pass for one sample.
        macs_no_bmm: without attention's two products.
    """

    parameters: int
    macs: float
    macs_no_bmm: float


@dataclass(frozen=True)
class Block:
    """One box of a UNet's diagram.

    Attributes:
        name: of the layer, as `UNet2DCondition.run` calls it.
        block: the block it stands in; its own name for the first and the last.
        count: its own.
        attends: whether it holds transformers.
        droppable: whether it may go alone, with what goes with it.
    """

    name: str
    block: str
    count: Count
    attends: bool
    droppable: bool


def count_of(shape: UNetShape) -> Count:
    """Parameters and cost of one pass, by abstract evaluation: no weight is made."""
    cost = full_cost(shape)
    assert isinstance(shape.config, UNetConfig)
    return Count(parameters_of(shape.config), cost.macs, cost.no_bmm)


def count_without(shape: UNetShape, dropped: Iterable[str]) -> Count:
    """`count_of` what stays when `dropped` goes.

    Raises:
        DropError: a name the UNet does not have, or that cannot be dropped.
    """
    assert isinstance(shape.config, UNetConfig)
    config = assemble(shape.config, dropped).config
    return count_of(UNetShape(config, shape.height, shape.width, shape.tokens))


@cache
def blocks(shape: UNetShape) -> tuple[Block, ...]:
    """Every layer in execution order; together they cost the whole but for the time embedding."""
    config = shape.config
    assert isinstance(config, UNetConfig)
    sizes = {
        module: sum(math.prod(s) for s in tensors.values())
        for module, tensors in module_shapes(config).items()
    }
    free = set(droppable(config))
    found = []
    for node in node_costs(shape):
        parameters = sum(sizes.get(module, 0) for module in modules_of(node.name))
        attends = any(".transformer." in unit for unit in node.units)
        count = Count(parameters, node.cost.macs, node.cost.no_bmm)
        found.append(Block(node.name, node.block, count, attends, node.name in free))
    return tuple(found)


def modules_of(node: str) -> tuple[str, ...]:
    """The modules of a layer by their files' names."""
    parts = node.split(".")
    if node == "conv_out":
        return ("conv_norm_out", "conv_out")
    if len(parts) == 1:
        return (node,)
    block = "mid_block" if parts[0] == "mid" else f"{parts[0]}_blocks.{parts[1]}"
    if parts[-1] in ("downsample", "upsample"):
        return (f"{block}.{parts[-1]}rs.0",)
    return tuple(f"{block}.{kind}.{parts[-1]}" for kind in ("resnets", "attentions"))


@cache
def parameters_of(config: UNetConfig) -> int:
    """How many parameters a UNet of this form has."""
    tensors = (shape for module in module_shapes(config).values() for shape in module.values())
    return sum(math.prod(shape) for shape in tensors)
