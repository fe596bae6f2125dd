"""Blocks of the autoencoder; their attribute names are those of the checkpoint format."""

from typing import Any

from flax import nnx
from jaxtyping import Array, Float

from kernels_pallas.conv2d import conv2d
from workbench.diffusion.unet.layers import Conv, GroupNorm, Upsample, WinogradKernel
from workbench.diffusion.unet.resnet import ResnetBlock
from workbench.diffusion.unet.transformer import Attention
from workbench.diffusion.vae.config import AutoencoderConfig

EPS = 1e-6
"""Of every norm in the family."""


class ImageAttention(Attention):
    """One head over the pixels of an image, with its own norm and residual."""

    def __init__(self, width: int, groups: int, *, dtype: Any, rngs: nnx.Rngs):
        super().__init__(width, width, heads=1, bias=True, dtype=dtype, rngs=rngs)
        self.group_norm = GroupNorm(width, groups, eps=EPS, dtype=dtype)

    def over_pixels(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """x + attention(norm(x))."""
        batch, height, width, channels = x.shape
        h = self.group_norm(x).reshape(batch, height * width, channels)
        return x + self(h, h).reshape(x.shape)


class HalfSize(nnx.Module):
    """Half height and width by a strided 3x3 convolution over pixels 2i, 2i + 1, 2i + 2.

    Only the right and lower edges are padded, unlike in the UNet.
    """

    def __init__(self, channels: int, *, dtype: Any, rngs: nnx.Rngs):
        self.conv = Conv(channels, channels, 3, stride=2, dtype=dtype, rngs=rngs)
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
        """conv(x)."""
        kernel = self.conv.kernel
        assert not isinstance(kernel, WinogradKernel)  # a form for stride 1 only
        out = conv2d(x, kernel[...].astype(self.dtype), strides=2, padding=((0, 1), (0, 1)))
        return out + self.conv.bias[...].astype(self.dtype)[None, None, None, :]


class Level(nnx.Module):
    """ResNets at one resolution, then a change of it where there is one."""

    def __init__(
        self,
        config: AutoencoderConfig,
        inputs: int,
        outputs: int,
        layers: int,
        *,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        self.resnets = nnx.List(
            _resnet(config, inputs if layer == 0 else outputs, outputs, dtype=dtype, rngs=rngs)
            for layer in range(layers)
        )

    def layers(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W D"]:
        """All ResNets."""
        for resnet in self.resnets:
            x = resnet(x)
        return x


class DownLevel(Level):
    """ResNets, then half the size, except in the last level."""

    def __init__(self, config: AutoencoderConfig, index: int, *, dtype: Any, rngs: nnx.Rngs):
        widths, layers = config.block_out_channels, config.layers_per_block
        width, before = widths[index], widths[max(index - 1, 0)]
        super().__init__(config, before, width, layers, dtype=dtype, rngs=rngs)
        last = index == len(widths) - 1
        self.downsamplers = nnx.List([] if last else [HalfSize(width, dtype=dtype, rngs=rngs)])

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        """The level's output."""
        x = self.layers(x)
        return self.downsamplers[0](x) if len(self.downsamplers) else x


class UpLevel(Level):
    """ResNets, one more than on the way down, then twice the size, except in the last level."""

    def __init__(self, config: AutoencoderConfig, index: int, *, dtype: Any, rngs: nnx.Rngs):
        widths, layers = config.block_out_channels[::-1], config.layers_per_block + 1
        width, before = widths[index], widths[max(index - 1, 0)]
        super().__init__(config, before, width, layers, dtype=dtype, rngs=rngs)
        last = index == len(widths) - 1
        self.upsamplers = nnx.List([] if last else [Upsample(width, dtype=dtype, rngs=rngs)])

    def __call__(self, x: Float[Array, "B h w C"]) -> Float[Array, "B H W D"]:
        """The level's output."""
        x = self.layers(x)
        return self.upsamplers[0](x) if len(self.upsamplers) else x


class Middle(nnx.Module):
    """ResNet, attention where the form has it, ResNet, at the lowest resolution; or nothing."""

    def __init__(self, config: AutoencoderConfig, *, dtype: Any, rngs: nnx.Rngs):
        width, groups = config.block_out_channels[-1], config.norm_num_groups
        self.resnets = nnx.List(
            _resnet(config, width, width, dtype=dtype, rngs=rngs)
            for _ in range(2 if config.mid_block else 0)
        )
        self.attentions = nnx.List(
            ImageAttention(width, groups, dtype=dtype, rngs=rngs)
            for _ in range(int(config.mid_block and config.mid_block_add_attention))
        )

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """The block's output."""
        if not len(self.resnets):
            return x
        x = self.resnets[0](x)
        for attention in self.attentions:
            x = attention.over_pixels(x)
        return self.resnets[1](x)


def _resnet(
    config: AutoencoderConfig, inputs: int, outputs: int, *, dtype: Any, rngs: nnx.Rngs
) -> ResnetBlock:
    groups = config.norm_num_groups
    return ResnetBlock(
        inputs, outputs, groups=groups, eps=EPS, time_width=None, dtype=dtype, rngs=rngs
    )
