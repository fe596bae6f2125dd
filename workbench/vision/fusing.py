"""Residual blocks of a network as one op each: the same function, fewer passes through memory."""

from __future__ import annotations

from flax import nnx

from workbench.vision.blocks.row import Block
from workbench.vision.folding import folded
from workbench.vision.networks.convnet import ConvNet


def fused(model: ConvNet, implementation: str = "auto") -> ConvNet:
    """A copy for inference whose ConvFirst and inverted residual blocks run as one op each.

    Its batch norms are folded. Blocks with squeeze-and-excitation, packed layers or an activation
    that the ops do not have stay layer by layer. Layers are still counted one by one.

    "auto" runs the layers one after the other on every device so far, in the time of the folded
    network: nobody has timed the kernels, which are taken where they are named.

    Args:
        model: with its weights; it stays as it is.
        implementation: of the ops: "auto", "xla", "pallas", "mosaic_tpu" or "mosaic_gpu".

    Raises:
        ValueError: a network without a block that can be one op. A form that there is not, or that
            cannot run here, is an error when the network runs.
    """
    copy = folded(model)
    blocks = [node for _, node in nnx.iter_graph(copy) if isinstance(node, Block) and node.fusable]
    if not blocks:
        kinds = ", ".join(sorted({row.kind for row in model.config.rows()}))
        raise ValueError(
            f"{model.config.architecture} has rows of {kinds}; one op runs conv_first blocks, and"
            " inverted_residual blocks without squeeze-and-excitation"
        )
    for block in blocks:
        block.fused = implementation
    return copy
