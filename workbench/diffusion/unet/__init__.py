"""The conditional UNet: `UNet2DCondition` and its `UNetConfig`."""

from workbench.diffusion.unet.config import UNetConfig
from workbench.diffusion.unet.model import Features, UNet2DCondition

__all__ = ["Features", "UNet2DCondition", "UNetConfig"]
