"""Training of the teacher of latents, and of the network that restores a picture in one step.

Yi et al. 2025 (TVT, arXiv 2507.20291): L = MSE + 2 LPIPS + VSD, and the fake score's own loss,
the autoencoder frozen, t = 1 and no noise added. In place of LPIPS stand random features.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from workbench.diffusion.digits.recipe import even_timesteps
from workbench.diffusion.super_resolution.autoencoding import copied
from workbench.diffusion.super_resolution.distillation import SCHEDULER, distilled
from workbench.diffusion.super_resolution.features import feature_distance
from workbench.diffusion.super_resolution.growing import TIME, Tuned
from workbench.diffusion.super_resolution.networks import Network, fresh
from workbench.diffusion.super_resolution.pictures import Pictures
from workbench.diffusion.unet import UNetConfig
from workbench.training import Recipe

FEATURES = 2.0
"""Weight of the feature distance beside the squared error."""


@dataclass(frozen=True, eq=False)
class TeacherTask:
    """A diffusion model of the 8x autoencoder's latents: it predicts noise, and reads no text.

    Args:
        vae: whose latents; it stands still.
        config: of the UNet.
        pictures: to learn from.
        recipe: batches.
    """

    vae: Network
    config: UNetConfig
    pictures: Pictures
    recipe: Recipe

    @cached_property
    def fingerprint(self) -> str:
        return f"teacher {self.vae.digest} {self.config!r} {self.pictures.fingerprint}"

    def init(self, key: Array) -> Any:
        return fresh(self.config, key).weights

    def loss(
        self, params: Any, batch: dict[str, Any], key: Array
    ) -> tuple[Array, dict[str, Array]]:
        vae = self.vae.model(batch["vae"])
        x0 = jax.lax.stop_gradient(vae.scaled(vae.encode(batch["sharp"]).mean))
        time_key, noise_key = jax.random.split(key)
        t = even_timesteps(time_key, len(x0), SCHEDULER.num_train_timesteps)
        noise = jax.random.normal(noise_key, x0.shape)
        found = Network(self.config, None).model(params)(SCHEDULER.add_noise(x0, noise, t), t)
        return jnp.mean((found - noise) ** 2), {}

    def batch(self, step: int) -> dict[str, Any]:
        sharp = self.pictures.batch(self.recipe.batch_size, self.recipe.seed, step)
        return {"sharp": sharp, "vae": self.vae.weights}


@dataclass(frozen=True, eq=False)
class RestoringTask:
    """One step from a degraded picture's latent to that of the sharp one.

    Trained are the UNet, and with distillation the score of what it makes, a low-rank change of
    the teacher.

    Args:
        vae: encodes and decodes; it stands still.
        unet: what is trained, and where it begins.
        teacher: of distillation.
        pictures: pairs to learn from.
        recipe: batches.
        distillation: weight of the distillation loss; nothing of it is computed at 0.
        context: [T, D], the text that UNets which attend read at every picture.

    Raises:
        ValueError: latents the UNet or the teacher cannot read.
    """

    vae: Network
    unet: Tuned
    teacher: Network
    pictures: Pictures
    recipe: Recipe
    distillation: float = 1.0
    context: Any = None

    def __post_init__(self) -> None:
        latent = getattr(self.vae.config, "latent_channels", None)
        for name, network in (("unet", self.unet.base), ("teacher", self.teacher)):
            if not isinstance(network.config, UNetConfig):
                raise ValueError(f"{name} is no UNet")
            if network.config.in_channels != latent:
                raise ValueError(
                    f"{name} reads {network.config.in_channels} channels; the autoencoder's "
                    f"latents have {latent}"
                )
        side = self.pictures.side // self.vae.config.stride
        if self.distillation and side % self.patch:
            raise ValueError(
                f"latents of {side}×{side} cannot be cut into the teacher's "
                f"{self.patch}×{self.patch}"
            )

    @property
    def patch(self) -> int:
        """Side of the latents the teacher was trained on."""
        assert isinstance(self.teacher.config, UNetConfig)
        size = self.teacher.config.sample_size
        if not isinstance(size, int):
            raise ValueError(f"teacher has sample_size={size}; needed its latents' side")
        return size

    @cached_property
    def fingerprint(self) -> str:
        text = ""
        if self.context is not None:
            text = hashlib.sha256(np.ascontiguousarray(self.context).tobytes()).hexdigest()
        return (
            f"restoring {self.vae.digest} {self.unet.fingerprint} {self.teacher.digest} "
            f"{self.distillation} {FEATURES} {text} {self.pictures.fingerprint}"
        )

    @cached_property
    def _fake(self) -> Tuned:
        return Tuned(self.teacher, frozenset())

    def init(self, key: Array) -> dict[str, Any]:
        unet_key, fake_key = jax.random.split(key)
        found: dict[str, Any] = {"unet": copied(self.unet.init(unet_key))}
        if self.distillation:
            found["fake"] = self._fake.init(fake_key)
        return found

    def loss(
        self, params: dict[str, Any], batch: dict[str, Any], key: Array
    ) -> tuple[Array, dict[str, Array]]:
        vae = self.vae.model(batch["vae"])
        unet = self.unet.network(params["unet"], batch["unet"]).model()
        z = one_step(vae, unet, batch["low"], self.context)
        found = vae.decode(vae.unscaled(z))
        squared = jnp.mean((found - batch["sharp"]) ** 2)
        loss = squared + FEATURES * feature_distance(found, batch["sharp"])
        told = {"squared": squared}
        if self.distillation:
            teacher = self.teacher.model(batch["teacher"])
            fake = self._fake.network(params["fake"], batch["teacher"]).model()
            real, own_score = self._reading(teacher), self._reading(fake)
            apart, own = distilled(z, real, own_score, self.patch, key)
            loss = loss + self.distillation * apart + own
            told |= {"distillation": apart, "fake_score": own}
        return loss, told

    def batch(self, step: int) -> dict[str, Any]:
        pairs = self.pictures.pairs(self.recipe.batch_size, self.recipe.seed, step)
        frozen = {
            "vae": self.vae.weights,
            "unet": self.unet.base.weights,
            "teacher": self.teacher.weights,
        }
        return {**pairs, **frozen}

    def _reading(self, network: Any) -> Any:
        """A network with the text bound."""
        return lambda x, t: network(x, t, for_each(self.context, len(x)))

    def restorer(self, params: dict[str, Any]) -> Network:
        """The trained UNet, with low-rank changes added to its weights."""
        return self.unet.network(params["unet"])


def one_step(
    vae: Any, unet: Any, low: Float[Array, "B H W 3"], context: Any = None
) -> Float[Array, "B h w L"]:
    """The latent of the restored picture, as a UNet reads it: noise is predicted once, at t = 1.

    z = (z_low - sqrt(1 - ᾱ₁) ε(z_low, 1)) / sqrt(ᾱ₁), which is DDPM's only step of one.

    Args:
        vae: an autoencoder with its weights; the mean of its moments is taken.
        unet: predicts the noise.
        low: the degraded picture at the restored one's size, in [-1, 1].
        context: [T, D], the text a UNet that attends reads; equal for all pictures.
    """
    return cleaned(unet, vae.scaled(vae.encode(low).mean), context)


def cleaned(unet: Any, z: Float[Array, "B h w L"], context: Any = None) -> Float[Array, "B h w L"]:
    """The same from the latent on."""
    abar = float(SCHEDULER.abar[int(TIME)])
    noise = unet(z, TIME, for_each(context, len(z)))
    return (z - math.sqrt(1 - abar) * noise) / math.sqrt(abar)


def for_each(context: Any, count: int) -> Any:
    """A text for each of so many pictures; None stays None."""
    return None if context is None else jnp.broadcast_to(context, (count, *context.shape))
