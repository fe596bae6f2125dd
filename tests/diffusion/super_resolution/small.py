"""Networks and pictures of a few values, for tests alone."""

import jax
import numpy as np

from workbench.diffusion.super_resolution.degradation import MILD
from workbench.diffusion.super_resolution.degrading import degraded
from workbench.diffusion.super_resolution.forms import autoencoder_form, with_outer_level
from workbench.diffusion.super_resolution.networks import Network, fresh
from workbench.diffusion.super_resolution.pictures import HeldOut, Pictures
from workbench.diffusion.unet import UNetConfig

VAE8 = autoencoder_form((4, 4, 4, 8), layers=1, groups=2)
VAE4 = autoencoder_form((4, 4, 8), layers=1, groups=2, mid_block=False)
UNET8 = UNetConfig(
    sample_size=4,
    block_out_channels=(8, 8),
    down_block_types=("DownBlock2D",) * 2,
    up_block_types=("UpBlock2D",) * 2,
    mid_block_type="UNetMidBlock2D",
    layers_per_block=1,
    norm_num_groups=2,
)
UNET4 = with_outer_level(UNET8, 4, layers=1)


def network(config, seed: int = 0) -> Network:
    return fresh(config, jax.random.key(seed))


def pictures(side: int = 32, count: int = 6) -> Pictures:
    """Random blocks: no data set is read."""
    drawn = np.random.default_rng(0)
    blocks = drawn.integers(0, 256, (count, side // 4, side // 4, 3), np.uint8)
    train = np.repeat(np.repeat(blocks, 4, 1), 4, 2)
    sharp = train[:2].astype(np.float32) / 255
    low = np.stack([degraded(one, MILD, np.random.default_rng(1)) for one in sharp])
    return Pictures(train, (HeldOut("photographs", sharp, low),), MILD, "random blocks")
