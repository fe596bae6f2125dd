"""The diffusion transformer: `DiT`, its configuration, and classes as it reads them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.diffusion.dit.config import DiTConfig

if TYPE_CHECKING:
    from workbench.diffusion.dit.labels import ClassLabels
    from workbench.diffusion.dit.model import DiT

# A form alone, and the caches' settings, are read without jax.
_PLACES = {"ClassLabels": "labels", "DiT": "model"}
__all__ = ["ClassLabels", "DiT", "DiTConfig"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
