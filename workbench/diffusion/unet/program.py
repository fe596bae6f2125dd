"""The UNet as a list of named nodes in execution order, and which of them a request needs.

Every encoder node pushes one skip and every up layer takes one, the last pushed first. Reuse
methods (encoder propagation, DeepCache, block or layer inheritance) are then one thing: some nodes'
values are given, and only what the wanted ones still depend on is computed.
"""

import dataclasses
import difflib
import functools
from collections.abc import Iterable
from typing import Literal

from workbench.diffusion.unet.config import CROSS_DOWN, CROSS_MID, CROSS_UP, UNetConfig
from workbench.diffusion.unet.transformer import UNITS

OUTPUT = "conv_out"
"""Name of the last node: the model's prediction."""

Kind = Literal[
    "conv_in", "layer", "mid_layer", "downsample", "up_layer", "upsample", "same", "conv_out"
]


@dataclasses.dataclass(frozen=True)
class Node:
    """One step of the forward pass."""

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    """Names of the nodes it reads: the hidden state, then the skip for an up layer."""
    block: int = 0
    layer: int = 0
    units: tuple[str, ...] = ()
    """Names of the residual branches inside."""


@dataclasses.dataclass(frozen=True)
class Program:
    """All nodes of a configuration."""

    nodes: tuple[Node, ...]
    blocks: dict[str, tuple[str, ...]]
    """Block name -> its nodes, in execution order."""
    skips: tuple[str, ...]
    """Nodes that push a skip, in order of pushing."""
    up_layers: tuple[str, ...]

    @property
    def mid(self) -> str:
        """The node whose value is the mid block's."""
        return self.blocks["mid"][-1]

    @functools.cached_property
    def owner(self) -> dict[str, str]:
        """Node of every node and unit."""
        found = {node.name: node.name for node in self.nodes}
        return found | {unit: node.name for node in self.nodes for unit in node.units}

    def value_of(self, name: str) -> tuple[str, ...] | str:
        """Where a value is read: a down block's is all it pushes, another block's its last."""
        if name in self.blocks:
            return self.blocks[name] if name.startswith("down.") else self.blocks[name][-1]
        if name not in self.owner:
            known = [*self.blocks, *self.owner]
            near = difflib.get_close_matches(name, known, n=3)
            hint = (
                f"; near: {', '.join(near)}" if near else f"; blocks are {', '.join(self.blocks)}"
            )
            raise ValueError(f"the UNet has no intermediate called {name!r}{hint}")
        return name

    def live(self, wanted: Iterable[str], given: Iterable[str]) -> tuple[Node, ...]:
        """Nodes that must run for `wanted` when the nodes and units in `given` need not.

        Raises:
            ValueError: a wanted unit lies in a node whose value is given.
        """
        given = frozenset(given)
        need: set[str] = set()
        for name in wanted:
            node = self.owner[name]
            if name != node and node in given and name not in given:
                raise ValueError(
                    f"{name!r} is wanted, but lies inside {node!r}, whose value is given"
                )
            need.add(node)
        run = []
        for step in reversed(self.nodes):
            if step.name in need and step.name not in given:
                run.append(step)
                need.update(step.inputs)
        return tuple(reversed(run))


@functools.lru_cache(maxsize=64)
def program(config: UNetConfig) -> Program:
    """The nodes of `config`."""
    nodes = [Node("conv_in", "conv_in", ())]
    blocks: dict[str, tuple[str, ...]] = {}

    def close(block: str, start: int) -> None:
        blocks[block] = tuple(node.name for node in nodes[start:])

    def units(name: str, attention: bool, depth: int) -> tuple[str, ...]:
        inner = [
            f"{name}.transformer.{d}.{u}" for d in range(depth if attention else 0) for u in UNITS
        ]
        return (f"{name}.resnet", *inner)

    last = len(config.block_out_channels) - 1
    for i, layers in enumerate(config.layers):
        start, cross = len(nodes), config.down_block_types[i] == CROSS_DOWN
        for j in range(layers):
            name = f"down.{i}.layer.{j}"
            inner = units(name, cross, config.depths[i])
            nodes.append(Node(name, "layer", (nodes[-1].name,), i, j, inner))
        if i < last:
            nodes.append(Node(f"down.{i}.downsample", "downsample", (nodes[-1].name,), i))
        close(f"down.{i}", start)
    skips = tuple(node.name for node in nodes)

    start = len(nodes)
    cross = config.mid_block_type == CROSS_MID
    if config.mid_block_type is None:
        nodes.append(Node("mid.layer.0", "same", (nodes[-1].name,)))
    for j in range(0 if config.mid_block_type is None else 2 if cross else 1):
        name = f"mid.layer.{j}"
        inner = units(name, cross and j == 0, config.depths[-1])
        nodes.append(Node(name, "mid_layer", (nodes[-1].name,), 0, j, inner))
    close("mid", start)

    stack = list(skips)
    up_layers = []
    for i, layers in enumerate(config.layers[::-1]):
        start, cross = len(nodes), config.up_block_types[i] == CROSS_UP
        for j in range(layers + 1):
            name = f"up.{i}.layer.{j}"
            inner = units(name, cross, config.depths[::-1][i])
            nodes.append(Node(name, "up_layer", (nodes[-1].name, stack.pop()), i, j, inner))
            up_layers.append(name)
        if i < last:
            nodes.append(Node(f"up.{i}.upsample", "upsample", (nodes[-1].name,), i))
        close(f"up.{i}", start)
    nodes.append(Node(OUTPUT, "conv_out", (nodes[-1].name,)))
    return Program(tuple(nodes), blocks, skips, tuple(up_layers))
