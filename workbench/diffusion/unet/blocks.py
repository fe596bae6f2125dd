"""Down, mid and up blocks; their attribute names are those of the checkpoint format."""

from typing import Any

from flax import nnx
from jaxtyping import Array, Float

from workbench.diffusion.unet.config import CROSS_DOWN, CROSS_MID, CROSS_UP, UNetConfig
from workbench.diffusion.unet.layers import Downsample, Upsample
from workbench.diffusion.unet.resnet import ResnetBlock
from workbench.diffusion.unet.taps import Taps
from workbench.diffusion.unet.transformer import Context, KeysValues, Transformer2D


class Block(nnx.Module):
    """ResNets, each followed by a transformer where there are any."""

    resnets: nnx.List
    attentions: nnx.List

    def layer(
        self,
        index: int,
        x: Float[Array, "B H W C"],
        temb: Float[Array, "B E"],
        context: Context | None,
        taps: Taps,
        name: str,
    ) -> Float[Array, "B H W D"]:
        """Layer `index`: one ResNet and, where present, its transformer."""
        h = self.resnets[index](x, temb, taps, name)
        if index < len(self.attentions):
            h = self.attentions[index](h, context, taps, name)
        return h

    def keys_values(self, context: Float[Array, "B S K"], name: str) -> dict[str, KeysValues]:
        """Of every transformer block, by its name in the block called `name`."""
        return {
            f"{name}.layer.{layer}.transformer.{depth}": block.attn2.keys_values(context)
            for layer, attention in enumerate(self.attentions)
            for depth, block in enumerate(attention.transformer_blocks)
        }


class DownBlock(Block):
    """Layers at one resolution, or none, then half of it, except in the last block."""

    def __init__(self, config: UNetConfig, index: int, *, dtype: Any, rngs: nnx.Rngs):
        widths = config.block_out_channels
        width, before = widths[index], widths[max(index - 1, 0)]
        layers = config.layers[index]
        cross = config.down_block_types[index] == CROSS_DOWN
        self.resnets = nnx.List(
            _resnet(config, before if layer == 0 else width, width, dtype=dtype, rngs=rngs)
            for layer in range(layers)
        )
        self.attentions = nnx.List(
            Transformer2D(
                config, width, config.heads[index], config.depths[index], dtype=dtype, rngs=rngs
            )
            for _ in range(layers if cross else 0)
        )
        last = index == len(widths) - 1
        self.downsamplers = nnx.List([] if last else [Downsample(width, dtype=dtype, rngs=rngs)])


class MidBlock(Block):
    """ResNet, transformer, ResNet at the lowest resolution; without attention a single ResNet."""

    def __init__(self, config: UNetConfig, *, dtype: Any, rngs: nnx.Rngs):
        width = config.block_out_channels[-1]
        cross = config.mid_block_type == CROSS_MID
        self.resnets = nnx.List(
            _resnet(config, width, width, dtype=dtype, rngs=rngs) for _ in range(2 if cross else 1)
        )
        self.attentions = nnx.List(
            Transformer2D(
                config, width, config.heads[-1], config.depths[-1], dtype=dtype, rngs=rngs
            )
            for _ in range(1 if cross else 0)
        )


class UpBlock(Block):
    """Layers at one resolution, each with a skip, then twice it, except in the last block."""

    def __init__(self, config: UNetConfig, index: int, *, dtype: Any, rngs: nnx.Rngs):
        widths = config.block_out_channels[::-1]
        width, before = widths[index], widths[max(index - 1, 0)]
        opposite = widths[min(index + 1, len(widths) - 1)]
        layers = config.layers[::-1][index] + 1
        cross = config.up_block_types[index] == CROSS_UP

        def inputs(layer: int) -> int:
            hidden = before if layer == 0 else width
            return hidden + (opposite if layer == layers - 1 else width)

        self.resnets = nnx.List(
            _resnet(config, inputs(layer), width, dtype=dtype, rngs=rngs) for layer in range(layers)
        )
        heads, depth = config.heads[::-1][index], config.depths[::-1][index]
        self.attentions = nnx.List(
            Transformer2D(config, width, heads, depth, dtype=dtype, rngs=rngs)
            for _ in range(layers if cross else 0)
        )
        last = index == len(widths) - 1
        self.upsamplers = nnx.List([] if last else [Upsample(width, dtype=dtype, rngs=rngs)])


def _resnet(
    config: UNetConfig, inputs: int, outputs: int, *, dtype: Any, rngs: nnx.Rngs
) -> ResnetBlock:
    return ResnetBlock(
        inputs,
        outputs,
        groups=config.norm_num_groups,
        eps=config.norm_eps,
        time_width=config.time_width,
        experts=config.conv_experts,
        routing=config.conv_routing,
        dtype=dtype,
        rngs=rngs,
    )
