"""The transformer as a list of named nodes: patches, blocks in a row, the prediction."""

import functools

from workbench.diffusion.dit.blocks import UNITS
from workbench.diffusion.dit.config import DiTConfig
from workbench.diffusion.unet.program import OUTPUT, Node, Program

PATCHES = "patches"


@functools.lru_cache(maxsize=16)
def program(config: DiTConfig) -> Program:
    """The nodes of `config`, named as a UNet's are: each block is its own node and layer."""
    nodes = [Node(PATCHES, "conv_in", ())]
    for i in range(config.num_layers):
        units = tuple(f"block.{i}.{unit}" for unit in UNITS)
        nodes.append(Node(f"block.{i}", "layer", (nodes[-1].name,), i, 0, units))
    blocks: dict[str, tuple[str, ...]] = {node.name: (node.name,) for node in nodes[1:]}
    decoder = tuple(blocks)[encoder_blocks(config) :]
    nodes.append(Node(OUTPUT, "conv_out", (nodes[-1].name,)))
    return Program(tuple(nodes), blocks, (), decoder)


def encoder_blocks(config: DiTConfig) -> int:
    """Blocks that play the encoder: 18 of 28 (Faster Diffusion, section 4.3), the same share of
    another depth."""
    return max(1, min(round(config.num_layers * 18 / 28), config.num_layers - 1))
