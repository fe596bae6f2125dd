"""Pipeline: everything that turns a seed and a class into a picture, immutable."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from workbench import home
from workbench.checkpoints import CheckpointError
from workbench.diffusion.checkpoint import load_unet
from workbench.diffusion.conditioning import ClassTokens
from workbench.diffusion.costs import UNetShape
from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import DDIM, DDPM, DPMSolverPlusPlus, Scheduler, load_scheduler
from workbench.diffusion.unet import UNet2DCondition
from workbench.diffusion.unet.config import UNetConfig

SAMPLERS: dict[str, type[Scheduler]] = {"ddim": DDIM, "ddpm": DDPM, "dpm++": DPMSolverPlusPlus}


class Inputs(NamedTuple):
    """What one sampling run starts from, a row per picture.

    Args:
        noise: x_T.
        context: what attention reads.
        blank: the same for "no class", which guidance moves away from.
        labels: the class asked for.
        keys: one random key per picture, for samplers that draw noise on the way.
    """

    noise: Float[Array, "B H W C"]
    context: Float[Array, "B T D"]
    blank: Float[Array, "B T D"]
    labels: Int[np.ndarray, " B"]
    keys: Array


# Compared by identity: equal arrays are equal by `fingerprint`, not by a comparison of each.
@dataclass(frozen=True, eq=False)
class Pipeline:
    """A UNet with its conditioning, sampler settings and plan.

    Args:
        weights: the UNet's arrays, flat, in the order of its module tree.
        weights_hash: names the weights; two pipelines with the same one hold the same weights.
        guidance: classifier-free guidance scale g in e_u + g (e_c - e_u); 1 runs one pass a step
            instead of two.
        folder: where it was read from; empty for one made in memory.
        first_scheduler: the sampler before any other was chosen, whose settings come back with it.
    """

    name: str
    config: UNetConfig
    weights: tuple[Array, ...]
    tokens: ClassTokens
    scheduler: Scheduler
    weights_hash: str
    steps: int
    guidance: float
    plan: Plan
    folder: str = ""
    first_scheduler: Scheduler | None = None

    @classmethod
    def load(cls, folder: str | Path, *, steps: int = 50, guidance: float = 1.5) -> Pipeline:
        """Read a folder in diffusers' layout with class tokens where a text encoder would stand.

        Raises:
            CheckpointError: for a missing, truncated or mislabelled part, naming it.
        """
        home.keep_compiled()
        folder = Path(folder)
        unet = load_unet(folder / "unet")
        tokens = ClassTokens.load(folder / "class_tokens")
        if tokens.width != unet.config.cross_attention_dim:
            raise CheckpointError(
                f"{folder}: class tokens are {tokens.width} wide; the UNet's cross_attention_dim "
                f"is {unet.config.cross_attention_dim}"
            )
        if unet.config.sample_size is None:
            raise CheckpointError(f"{folder}: the UNet's config gives no sample_size")
        return cls(
            name=folder.name,
            config=unet.config,
            weights=flat_weights(unet),
            tokens=tokens,
            scheduler=load_scheduler(folder / "scheduler"),
            weights_hash=_hash_of_weights(folder),
            steps=steps,
            guidance=guidance,
            plan=Plan.full(steps),
            folder=str(folder),
        )

    @property
    def passes(self) -> int:
        """UNet passes per step and picture: two with guidance."""
        return 1 if self.guidance == 1 else 2

    @property
    def sample_shape(self) -> tuple[int, int, int]:
        """Height, width, channels of what is sampled."""
        size = self.config.sample_size
        height, width = size if isinstance(size, tuple) else (size, size)
        return int(height or 0), int(width or 0), self.config.in_channels

    @property
    def shape(self) -> UNetShape:
        height, width, _ = self.sample_shape
        return UNetShape(self.config, height, width, self.tokens.length)

    @cached_property
    def fingerprint(self) -> str:
        settings = {
            "weights": self.weights_hash,
            "unet": self.config.model_dump(mode="json"),
            "scheduler": repr(self.scheduler),
            "steps": self.steps,
            "guidance": self.guidance,
            "plan": repr(self.plan),
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def home(self) -> str:
        """The folder that holds this very model; empty where it was made or changed in memory."""
        first = self.first_scheduler or self.scheduler
        if not self.folder or _hash_of_weights(Path(self.folder)) != self.weights_hash:
            return ""
        return self.folder if load_scheduler(Path(self.folder) / "scheduler") == first else ""

    def with_plan(self, plan: Plan) -> Pipeline:
        """The same pipeline under another plan, which sets the number of steps."""
        return replace(self, plan=plan, steps=plan.steps)

    def with_sampling(
        self, *, steps: int | None = None, guidance: float | None = None, sampler: str | None = None
    ) -> Pipeline:
        """The same pipeline with other sampler settings, sampling in full.

        Raises:
            ValueError: for a sampler there is not, or numbers outside their range.
        """
        steps = self.steps if steps is None else steps
        guidance = self.guidance if guidance is None else guidance
        trained = self.scheduler.num_train_timesteps
        if not 1 <= steps <= trained:
            raise ValueError(f"Steps must be between 1 and {trained}. You gave {steps}")
        if not guidance >= 0:
            raise ValueError(f"Guidance must be at least 0. You gave {guidance}")
        first = self.first_scheduler or self.scheduler
        scheduler = self.scheduler
        if sampler is not None:
            scheduler = _as_sampler(scheduler, sampler, first)
        return replace(
            self,
            scheduler=scheduler,
            steps=steps,
            guidance=guidance,
            plan=Plan.full(steps),
            first_scheduler=first,
        )

    def inputs(self, seeds: tuple[int, ...], labels: tuple[int, ...] | None = None) -> Inputs:
        """Noise and conditioning for seeds; without labels, classes take turns by seed.

        Raises:
            ValueError: for a seed outside 32 bits, or a label that is no class.
        """
        outside = [seed for seed in seeds if not 0 <= seed < 2**32]
        if outside:
            raise ValueError(f"Seeds must be between 0 and {2**32 - 1}. You gave {outside[0]}")
        classes = self.tokens.classes
        chosen = np.array(
            [s % classes for s in seeds] if labels is None else labels, dtype=np.int32
        )
        keys = jax.vmap(jax.random.key)(np.array(seeds, dtype=np.uint32))
        noise = jax.vmap(lambda key: jax.random.normal(key, self.sample_shape))(keys)
        blank = jnp.broadcast_to(self.tokens.blank, (len(seeds), *self.tokens.blank.shape))
        return Inputs(noise, self.tokens(chosen), blank, chosen, keys)


def flat_weights(unet: UNet2DCondition) -> tuple[Array, ...]:
    """A UNet's arrays in the order of its module tree."""
    return tuple(jax.tree.leaves(nnx.split(unet)[1]))


def _as_sampler(scheduler: Scheduler, name: str, first: Scheduler) -> Scheduler:
    """Another sampler on the same noising process, with all settings it shares with these two."""
    if name not in SAMPLERS:
        raise ValueError(f"Sampler must be one of {', '.join(SAMPLERS)}. You gave {name!r}")
    if isinstance(scheduler, SAMPLERS[name]):
        return scheduler
    known = {**dict(first), **dict(scheduler)}
    fields = SAMPLERS[name].model_fields.keys() & known.keys()
    return SAMPLERS[name](**{field: known[field] for field in fields})


def _hash_of_weights(folder: Path) -> str:
    digest = hashlib.sha256()
    names = sorted(file.relative_to(folder).as_posix() for file in folder.glob("*/*.safetensors"))
    for name in names:
        digest.update(name.encode())
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:16]
