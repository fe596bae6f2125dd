"""The autoencoder of latent diffusion: `AutoencoderKL` and its `AutoencoderConfig`."""

from workbench.diffusion.vae.config import AutoencoderConfig
from workbench.diffusion.vae.model import AutoencoderKL, Moments

__all__ = ["AutoencoderConfig", "AutoencoderKL", "Moments"]
