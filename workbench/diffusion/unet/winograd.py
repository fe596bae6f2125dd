"""Memory against speed on a CPU: kernels of a UNet kept transformed for minimal filtering."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx

from kernels_pallas.conv2d import choice
from kernels_pallas.conv2d.window import Window
from workbench.diffusion.unet.blocks import Block
from workbench.diffusion.unet.conditional import ConditionalConv
from workbench.diffusion.unet.layers import Conv, WinogradKernel
from workbench.diffusion.unet.model import UNet2DCondition

AROUND = Window((1, 1), ((1, 1), (1, 1)))


def transform_kernels(unet: UNet2DCondition, height: int, width: int, batch: int = 2) -> int:
    """Puts transformed weights where they were measured to pay, in place of the kernels.

    The predictions stay the same up to rounding. A UNet so prepared takes pictures of any size,
    and is fastest at this one; it can be neither saved nor trained.

    Args:
        unet: changed in place; also one of shapes alone.
        height, width: of the input, in pixels of the latent.
        batch: samples at once, guidance's second half included.

    Returns:
        How many kernels were transformed: those on few pixels with many channels, 11 of 47 in
        Stable Diffusion 1.5 at 64 x 64, for 0.6 GB on 3.4. What it wins there,
        `benchmarks/stable_diffusion_unet.py` says: with kernels transformed just before their use
        it may be little.

    Raises:
        TypeError: kernels in int8 or bfloat16, which are turned into floats at every call.
    """
    changed = 0
    for conv, level in _convolutions(unet):
        kernel = conv.kernel
        if isinstance(kernel, WinogradKernel) or isinstance(conv, ConditionalConv):
            continue
        if not isinstance(kernel, nnx.Param) or kernel.dtype != jnp.float32:
            held = kernel.dtype.name if isinstance(kernel, nnx.Param) else "int8"
            raise TypeError(f"kernels of a UNet in {held} cannot be kept transformed; load float32")
        inputs, outputs = kernel.shape[2:]
        shape = (batch, height >> level, width >> level, inputs)
        if min(shape) > 0 and choice.transformed_pays(shape, (3, 3, inputs, outputs), AROUND):
            conv.kernel = WinogradKernel(kernel.get_value())
            jax.block_until_ready(
                conv.kernel.values.get_value()
            )  # before the next: the old one is free
            changed += 1
    return changed


def _convolutions(unet: UNet2DCondition) -> Iterator[tuple[Conv | ConditionalConv, int]]:
    """Every 3x3 convolution at stride 1, and how often its pictures were halved."""
    last = len(unet.down_blocks) - 1
    blocks: list[tuple[int, Block]] = [*enumerate(unet.down_blocks)]
    if unet.config.mid_block_type is not None:
        blocks.append((last, unet.mid_block))
    blocks += [(last - index, block) for index, block in enumerate(unet.up_blocks)]
    for level, block in blocks:
        for resnet in block.resnets:
            yield resnet.conv1, level
            yield resnet.conv2, level
        for upsampler in getattr(block, "upsamplers", ()):
            yield upsampler.conv, level - 1
