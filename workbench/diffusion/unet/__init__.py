"""The conditional UNet: `UNet2DCondition`, its `UNetConfig`, and `new_unet` for a fresh one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.diffusion.unet.config import UNetConfig

if TYPE_CHECKING:
    from workbench.diffusion.unet.added import AddedConditions, Residuals
    from workbench.diffusion.unet.initial import new_unet
    from workbench.diffusion.unet.model import Features, UNet2DCondition

# A form alone is read without jax.
_PLACES = {
    "AddedConditions": "added",
    "Features": "model",
    "Residuals": "added",
    "UNet2DCondition": "model",
    "new_unet": "initial",
}
__all__ = [
    "AddedConditions",
    "Features",
    "Residuals",
    "UNet2DCondition",
    "UNetConfig",
    "new_unet",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
