"""The conditional UNet: `UNet2DCondition`, its `UNetConfig`, and `new_unet` for a fresh one."""

from workbench.diffusion.unet.added import AddedConditions, Residuals
from workbench.diffusion.unet.config import UNetConfig
from workbench.diffusion.unet.initial import new_unet
from workbench.diffusion.unet.model import Features, UNet2DCondition

__all__ = [
    "AddedConditions",
    "Features",
    "Residuals",
    "UNet2DCondition",
    "UNetConfig",
    "new_unet",
]
