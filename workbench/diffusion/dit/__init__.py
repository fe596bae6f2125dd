"""The diffusion transformer: `DiT`, its configuration, and classes as it reads them."""

from workbench.diffusion.dit.config import DiTConfig
from workbench.diffusion.dit.labels import ClassLabels
from workbench.diffusion.dit.model import DiT

__all__ = ["ClassLabels", "DiT", "DiTConfig"]
