"""Shapes of TVT's autoencoder and UNet (Yi et al. 2025, arXiv 2507.20291), and a small pair.

The full-size 4x autoencoder is the released one's. How wide the UNet's outer level is stands only
in the released weights; ours is a choice, and so is everything small.
"""

from __future__ import annotations

from workbench.diffusion.unet import UNetConfig
from workbench.diffusion.unet.config import PLAIN_DOWN, PLAIN_UP
from workbench.diffusion.vae import AutoencoderConfig

LEAST_SIDE = 16
"""Pixels of the smallest picture that is worth enlarging or learning from."""


def autoencoder_form(
    widths: tuple[int, ...], *, layers: int = 2, groups: int = 32, mid_block: bool = True
) -> AutoencoderConfig:
    """An autoencoder of so many levels, each of which but the last halves the picture.

    Args:
        widths: channels of each level.
        layers: ResNets of a level on the way down.
        groups: of every norm.
        mid_block: whether there are mid blocks.
    """
    return AutoencoderConfig(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        layers_per_block=layers,
        norm_num_groups=groups,
        mid_block=mid_block,
    )


VAED8 = AutoencoderConfig()
"""Stable Diffusion's: eight pixels to one."""
VAED4 = autoencoder_form((128, 256, 256), mid_block=False)
"""TVT's: four pixels to one, the same four channels, no mid blocks (its `config2.json`)."""

SD21 = UNetConfig(
    attention_head_dim=(5, 10, 20, 20), cross_attention_dim=1024, use_linear_projection=True
)
"""The UNet of Stable Diffusion 2.1 base."""


def with_outer_level(inner: UNetConfig, width: int, layers: int = 2) -> UNetConfig:
    """The compute-efficient UNet: `inner` one level further in, a plain level around it.

    It reads latents twice as large at little more than `inner`'s cost. The time embedding keeps
    `inner`'s width, so that all that reads it can stay.

    Args:
        inner: the form that weights exist for.
        width: channels of the new level; ours to choose.
        layers: ResNets of the new level on the way down.

    Raises:
        ValueError: a width the norms cannot group.
    """
    size = inner.sample_size
    doubled = tuple(2 * side for side in size) if isinstance(size, tuple) else size and 2 * size
    return UNetConfig.model_validate(
        inner.model_dump()
        | {
            "sample_size": doubled,
            "block_out_channels": (width, *inner.block_out_channels),
            "down_block_types": (PLAIN_DOWN, *inner.down_block_types),
            "up_block_types": (*inner.up_block_types, PLAIN_UP),
            "layers_per_block": (layers, *inner.layers),
            "transformer_layers_per_block": (1, *inner.depths),
            "attention_head_dim": (1, *inner.heads),
            "num_attention_heads": None,
            "time_embedding_dim": inner.time_width,
        }
    )


TVT_UNET = with_outer_level(SD21, 128)
"""The full-size UNet, its outer level 128 wide: 450 GMACs for latents of 128 x 128."""

SMALL8 = autoencoder_form((16, 32, 64, 64), layers=1, groups=8)
SMALL4 = autoencoder_form((16, 32, 32), layers=1, groups=8, mid_block=False)
"""The small pair: an eighth of the full widths, one ResNet a level; a CPU trains it in minutes."""

SMALL_UNET = UNetConfig(
    sample_size=8,
    block_out_channels=(32, 64),
    down_block_types=(PLAIN_DOWN,) * 2,
    up_block_types=(PLAIN_UP,) * 2,
    mid_block_type="UNetMidBlock2D",
    layers_per_block=1,
    norm_num_groups=8,
)
"""The small teacher: it reads no text, and latents of 8 x 8."""
SMALL_TVT_UNET = with_outer_level(SMALL_UNET, 32, layers=1)
