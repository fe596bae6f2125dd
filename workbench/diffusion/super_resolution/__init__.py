"""TVT: a 4x autoencoder in the latent space of an 8x one, and one-step super-resolution.

Yi et al. 2025 (ICCV, arXiv 2507.20291). What the paper leaves unpublished is ours and says so.

    restorer = load_restorer("super-resolution/4x")  # what `...super_resolution.train` wrote
    large = restorer.restored(low)  # [pictures, height, width, 3] in [0, 1], to four times that
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.diffusion.super_resolution.degradation import Degradation
    from workbench.diffusion.super_resolution.degrading import degraded
    from workbench.diffusion.super_resolution.forms import TVT_UNET, VAED4, with_outer_level
    from workbench.diffusion.super_resolution.networks import Network
    from workbench.diffusion.super_resolution.restorer import Restorer, load_restorer

_PLACES = {
    "Degradation": "degradation",
    "Network": "networks",
    "Restorer": "restorer",
    "TVT_UNET": "forms",
    "VAED4": "forms",
    "degraded": "degrading",
    "load_restorer": "restorer",
    "with_outer_level": "forms",
}
__all__ = [
    "TVT_UNET",
    "VAED4",
    "Degradation",
    "Network",
    "Restorer",
    "degraded",
    "load_restorer",
    "with_outer_level",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
