"""The autoencoder of latent diffusion: pictures to latents and back."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from workbench.diffusion.unet.layers import Conv, GroupNorm
from workbench.diffusion.vae.blocks import EPS, DownLevel, Middle, UpLevel
from workbench.diffusion.vae.config import AutoencoderConfig

LOG_VARIANCE_RANGE = (-30.0, 20.0)


class Moments(NamedTuple):
    """The normal distribution of a latent given its picture (Kingma & Welling 2014, section 3)."""

    mean: Float[Array, "B h w L"]
    log_variance: Float[Array, "B h w L"]

    def sample(self, key: Array) -> Float[Array, "B h w L"]:
        """mean + exp(log_variance / 2) * noise."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(0.5 * self.log_variance) * noise


class Encoder(nnx.Module):
    """Picture to the moments of its latent, side by side."""

    def __init__(self, config: AutoencoderConfig, *, dtype: Any, rngs: nnx.Rngs):
        widths, kind = config.block_out_channels, {"dtype": dtype, "rngs": rngs}
        self.conv_in = Conv(config.in_channels, widths[0], 3, **kind)
        self.down_blocks = nnx.List(DownLevel(config, i, **kind) for i in range(len(widths)))
        self.mid_block = Middle(config, **kind)
        self.conv_norm_out = GroupNorm(widths[-1], config.norm_num_groups, eps=EPS, dtype=dtype)
        self.conv_out = Conv(widths[-1], 2 * config.latent_channels, 3, **kind)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w M"]:
        """The encoder's output."""
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(nnx.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nnx.Module):
    """Latent to picture."""

    def __init__(self, config: AutoencoderConfig, *, dtype: Any, rngs: nnx.Rngs):
        widths, kind = config.block_out_channels[::-1], {"dtype": dtype, "rngs": rngs}
        self.conv_in = Conv(config.latent_channels, widths[0], 3, **kind)
        self.mid_block = Middle(config, **kind)
        self.up_blocks = nnx.List(UpLevel(config, i, **kind) for i in range(len(widths)))
        self.conv_norm_out = GroupNorm(widths[-1], config.norm_num_groups, eps=EPS, dtype=dtype)
        self.conv_out = Conv(widths[-1], config.out_channels, 3, **kind)

    def __call__(self, z: Float[Array, "B h w L"]) -> Float[Array, "B H W C"]:
        """The decoder's output."""
        x = self.mid_block(self.conv_in(z))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(nnx.silu(self.conv_norm_out(x)))


class AutoencoderKL(nnx.Module):
    """Autoencoder with a normal latent (Rombach et al. 2022, section 3.1), NHWC, diffusers family.

    Args:
        config: shape.
        dtype: what products and convolutions run in; parameters, norms and softmax are float32.
        rngs: seeds of the initial weights.
    """

    def __init__(self, config: AutoencoderConfig, *, dtype: Any = jnp.float32, rngs: nnx.Rngs):
        latent = config.latent_channels
        self.config, self.dtype = config, jnp.dtype(dtype)
        kind: dict[str, Any] = {"dtype": self.dtype, "rngs": rngs}
        self.encoder = Encoder(config, **kind)
        self.decoder = Decoder(config, **kind)
        if config.use_quant_conv:
            self.quant_conv = Conv(2 * latent, 2 * latent, 1, **kind)
        if config.use_post_quant_conv:
            self.post_quant_conv = Conv(latent, latent, 1, **kind)

    def encode(self, x: Float[Array, "B H W C"]) -> Moments:
        """The latent of a picture, float32, before any scaling.

        Args:
            x: picture in [-1, 1]; height and width multiples of `config.stride`.

        Raises:
            ValueError: another shape.
        """
        config = self.config
        if x.ndim != 4 or x.shape[-1] != config.in_channels:
            raise ValueError(f"x has shape {x.shape}; needed [B, H, W, {config.in_channels}]")
        if x.shape[1] % config.stride or x.shape[2] % config.stride:
            raise ValueError(
                f"x has shape {x.shape}; height and width must be multiples of {config.stride}"
            )
        h = self.encoder(x.astype(self.dtype))
        if config.use_quant_conv:
            h = self.quant_conv(h)
        mean, log_variance = jnp.split(h.astype(jnp.float32), 2, axis=-1)
        return Moments(mean, jnp.clip(log_variance, *LOG_VARIANCE_RANGE))

    def decode(self, z: Float[Array, "B h w L"]) -> Float[Array, "B H W C"]:
        """The picture of a latent, float32, about [-1, 1].

        Args:
            z: latent before any scaling: what `unscaled` gives.

        Raises:
            ValueError: another shape.
        """
        config = self.config
        if z.ndim != 4 or z.shape[-1] != config.latent_channels:
            raise ValueError(f"z has shape {z.shape}; needed [B, h, w, {config.latent_channels}]")
        h = z.astype(self.dtype)
        if config.use_post_quant_conv:
            h = self.post_quant_conv(h)
        return self.decoder(h).astype(jnp.float32)

    def scaled(self, z: Float[Array, "B h w L"]) -> Float[Array, "B h w L"]:
        """(z - mean) / std * scaling_factor: the latent as a UNet reads it."""
        mean, std = self._statistics()
        return (z - mean) / std * self.config.scaling_factor

    def unscaled(self, z: Float[Array, "B h w L"]) -> Float[Array, "B h w L"]:
        """Undoes `scaled`: a UNet's latent as the decoder reads it."""
        mean, std = self._statistics()
        return z / self.config.scaling_factor * std + mean

    def _statistics(self) -> tuple[Array, Array]:
        """Mean and spread of the latent's channels; `shift_factor` is a mean of all."""
        config = self.config
        channels = (1, 1, 1, config.latent_channels)
        if config.latents_mean is not None and config.latents_std is not None:
            mean, std = jnp.asarray(config.latents_mean), jnp.asarray(config.latents_std)
            return mean.reshape(channels), std.reshape(channels)
        return jnp.full(channels, config.shift_factor or 0.0), jnp.ones(channels)
