"""Pipeline: everything that turns a seed and a class or a text into a picture, immutable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from workbench import home
from workbench.checkpoints import CheckpointError
from workbench.diffusion.checkpoint import load_unet
from workbench.diffusion.conditioning import ClassTokens, Conditioned, Conditioning
from workbench.diffusion.costs import Config, UNetShape
from workbench.diffusion.dit import DiT
from workbench.diffusion.folder_hash import hash_of_model, hash_of_weights
from workbench.diffusion.plan import Plan
from workbench.diffusion.prompts import TextConditioning
from workbench.diffusion.schedulers import (
    DDIM,
    DDPM,
    LCM,
    PNDM,
    DPMSolverPlusPlus,
    Euler,
    EulerAncestral,
    Scheduler,
    load_scheduler,
)
from workbench.diffusion.unet import UNet2DCondition
from workbench.model_files.precision import FLOAT32, Precision, precision
from workbench.progress import Report, silent

if TYPE_CHECKING:
    from workbench.diffusion.part_costs import PartUse

SAMPLERS: dict[str, type[Scheduler]] = {
    "ddim": DDIM,
    "ddpm": DDPM,
    "dpm++": DPMSolverPlusPlus,
    "pndm": PNDM,
    "euler": Euler,
    "euler-ancestral": EulerAncestral,
    "lcm": LCM,
}
LATENT = {"clip_sample": False, "set_alpha_to_one": False}


class Inputs(NamedTuple):
    """What one sampling run starts from, a row per picture.

    Args:
        noise: x_T.
        context: what attention reads.
        blank: the same for "no class" or the negative prompt, which guidance moves away from.
        labels: the class asked for; for text, which of the distinct prompts.
        keys: one random key per picture, for samplers that draw noise on the way.
        added: pooled text and sizes, where the UNet takes them (SDXL); None elsewhere.
        blank_added: the same for the negative prompt.
    """

    noise: Float[Array, "B H W C"]
    context: Float[Array, "B T D"]
    blank: Float[Array, "B T D"]
    labels: Int[np.ndarray, " B"]
    keys: Array
    added: Any = None
    blank_added: Any = None


# Compared by identity: equal arrays are equal by `fingerprint`, not by a comparison of each.
@dataclass(frozen=True, eq=False)
class Pipeline:
    """A UNet with its conditioning, sampler settings and plan.

    Args:
        weights: the UNet's arrays, flat, in the order of its module tree.
        conditioning: what attention reads, from classes or from text.
        weights_hash: names the weights; two pipelines with the same one hold the same weights.
        guidance: classifier-free guidance scale g in e_u + g (e_c - e_u); 1 runs one pass a step
            instead of two.
        folder: where it was read from; empty for one made in memory.
        first_scheduler: the sampler before any other was chosen, whose settings come back with it.
        vae: turns latents into pictures (`AutoencoderKL`); None where pixels are sampled.
        reuse_text: whether attention's keys and values of the context are computed once a run and
            not at every step; the pictures are the same (`costs.text_projections` is saved).
        size: height and width of what is sampled, where they are not the config's `sample_size`.
        prompts: what `inputs` reads where it is given none; they take turns by seed.
        negative: the prompt guidance moves away from, where `inputs` is given none.
        precision: what the weights are stored in and computed in.
    """

    name: str
    config: Config
    weights: tuple[Array, ...]
    conditioning: Conditioning
    scheduler: Scheduler
    weights_hash: str
    steps: int
    guidance: float
    plan: Plan
    folder: str = ""
    first_scheduler: Scheduler | None = None
    vae: Any = None
    reuse_text: bool = True
    size: tuple[int, int] | None = None
    prompts: tuple[str, ...] = ()
    negative: str = ""
    precision: Precision = FLOAT32

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        steps: int = 50,
        guidance: float = 1.5,
        dtype: Any = "float32",
    ) -> Pipeline:
        """Read a folder in diffusers' layout with class tokens where a text encoder would stand.

        Other checkpoints: `workbench.diffusion.load_pipeline`.

        Raises:
            CheckpointError: for a missing, truncated or mislabelled part, naming it.
        """
        home.keep_compiled()
        folder = Path(folder)
        unet = load_unet(folder / "unet", dtype=dtype)
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
            conditioning=tokens,
            scheduler=load_scheduler(folder / "scheduler"),
            weights_hash=hash_of_weights(folder),
            steps=steps,
            guidance=guidance,
            plan=Plan.full(steps),
            folder=str(folder),
            precision=precision(dtype),
        )

    @property
    def tokens(self) -> ClassTokens:
        """The class tokens of a model that reads classes.

        Raises:
            ValueError: a model that reads something else.
        """
        if not isinstance(self.conditioning, ClassTokens):
            kind = type(self.conditioning).__name__
            raise ValueError(f"{self.name} has no class tokens; it is conditioned by {kind}")
        return self.conditioning

    @property
    def reads_text(self) -> bool:
        """Whether prompts say what is drawn."""
        return isinstance(self.conditioning, TextConditioning)

    @property
    def passes(self) -> int:
        """UNet passes per step and picture: two with guidance."""
        return 1 if self.guidance == 1 else 2

    @property
    def sample_shape(self) -> tuple[int, int, int]:
        """Height, width, channels of what is sampled."""
        size = self.config.sample_size if self.size is None else self.size
        height, width = size if isinstance(size, tuple) else (size, size)
        return int(height or 0), int(width or 0), self.config.in_channels

    @property
    def pixels_per_sample(self) -> int:
        """Pixels along each side of one sampled value: 8 for Stable Diffusion, 1 without a VAE."""
        return 1 if self.vae is None else int(self.vae.config.stride)

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width of the pictures, in pixels."""
        height, width, _ = self.sample_shape
        return height * self.pixels_per_sample, width * self.pixels_per_sample

    @property
    def shape(self) -> UNetShape:
        height, width, _ = self.sample_shape
        return UNetShape(self.config, height, width, self.conditioning.length)

    def costs(self, pictures: int = 1) -> dict[str, PartUse]:
        """Arithmetic of one picture and memory of `pictures` at once, by part."""
        from workbench.diffusion.part_costs import part_costs

        return part_costs(self, pictures)

    @cached_property
    def fingerprint(self) -> str:
        settings: dict[str, Any] = {
            "weights": self.weights_hash,
            "unet": self.config.model_dump(mode="json"),
            "scheduler": repr(self.scheduler),
            "steps": self.steps,
            "guidance": self.guidance,
            "plan": repr(self.plan),
        }
        # Each only where it is used: a model without keeps the name it had before.
        if self.precision != FLOAT32:
            settings["precision"] = [self.precision.name, str(self.precision.compute)]
        if self.precision.transformed is not None:
            settings["transformed"] = self.precision.transformed
        if self.size is not None:
            settings["size"] = self.size
        if isinstance(self.conditioning, TextConditioning):
            settings |= {"prompts": self.prompts, "negative": self.negative}
            settings["text"] = self.conditioning.rules
        if self.vae is not None:
            settings["vae"] = hash_of_model(self.vae)
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def home(self) -> str:
        """The folder that holds this very model; empty where it was made or changed in memory."""
        first = self.first_scheduler or self.scheduler
        if not self.folder or hash_of_weights(Path(self.folder)) != self.weights_hash:
            return ""
        try:
            return self.folder if load_scheduler(Path(self.folder) / "scheduler") == first else ""
        except ValueError:  # its own sampler is of a class that was read as another
            return ""

    def with_text_reuse(self, on: bool) -> Pipeline:
        """The same pipeline, projecting the context once a run or at every step."""
        return replace(self, reuse_text=on)

    def with_plan(self, plan: Plan) -> Pipeline:
        """The same pipeline under another plan, which sets the number of steps."""
        return replace(self, plan=plan, steps=plan.steps)

    def with_prompts(self, prompts: str | Sequence[str], negative: str = "") -> Pipeline:
        """The same pipeline with texts that `inputs` reads where it is given none.

        Raises:
            ValueError: no text, or a model that reads classes.
        """
        texts = (prompts,) if isinstance(prompts, str) else tuple(prompts)
        if not self.reads_text:
            raise ValueError(f"{self.name} reads classes, not prompts")
        if not texts:
            raise ValueError("Prompts must be at least one text. You gave none")
        return replace(self, prompts=texts, negative=negative)

    def with_lora(self, file: str | Path, scale: float = 1.0) -> Pipeline:
        """The same pipeline with a LoRA file merged; arguments and errors: `loading.merging`."""
        from workbench.diffusion.loading.merging import merged

        return merged(self, file, scale)

    def with_size(self, height: int, width: int) -> Pipeline:
        """The same pipeline drawing pictures of another size, in pixels.

        Raises:
            ValueError: not a multiple of what the VAE and the UNet halve.
        """
        scale = self.pixels_per_sample
        multiple = scale * self.config.stride
        for name, value in (("Height", height), ("Width", width)):
            if value < multiple or value % multiple:
                lower = max(value // multiple, 1) * multiple
                near = f"{lower} or {lower + multiple}" if value > multiple else f"{multiple}"
                raise ValueError(
                    f"{name} must be a multiple of {multiple} for this model ({scale} in the VAE, "
                    f"{self.config.stride} in the UNet). You gave {value}; {near} would do"
                )
        return replace(self, size=(height // scale, width // scale))

    def with_sampling(
        self, *, steps: int | None = None, guidance: float | None = None, sampler: str | None = None
    ) -> Pipeline:
        """The same pipeline with other sampler settings, sampling in full.

        Raises:
            ValueError: for a sampler there is not, numbers outside their range, or a number of
                steps this sampler cannot make.
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
            scheduler = _as_sampler(scheduler, sampler, first, latent=self.vae is not None)
        scheduler.plan(steps)  # what this sampler cannot do is said before anything runs
        return replace(
            self,
            scheduler=scheduler,
            steps=steps,
            guidance=guidance,
            plan=Plan.full(steps),
            first_scheduler=first,
        )

    def inputs(
        self,
        seeds: tuple[int, ...],
        labels: tuple[int, ...] | None = None,
        *,
        prompts: str | Sequence[str] | None = None,
        negative: str | Sequence[str] | None = None,
        report: Report = silent,
    ) -> Inputs:
        """Noise and conditioning for seeds; without labels, classes take turns by seed.

        Args:
            seeds: one picture each.
            labels: class of each, for a model that reads classes.
            prompts: one text for all or one for each seed, for a model that reads text; without,
                the pipeline's own take turns by seed.
            negative: what guidance moves away from; one text for all or one for each seed.
            report: progress of the text encoders.

        Raises:
            ValueError: for a seed outside 32 bits, a label that is no class, or prompts where
                there are none to read, or too many or too few.
        """
        outside = [seed for seed in seeds if not 0 <= seed < 2**32]
        if outside:
            raise ValueError(f"Seeds must be between 0 and {2**32 - 1}. You gave {outside[0]}")
        keys = jax.vmap(jax.random.key)(np.array(seeds, dtype=np.uint32))
        noise = jax.vmap(lambda key: jax.random.normal(key, self.sample_shape))(keys)
        found = self._conditions(seeds, labels, prompts, negative, report)
        return Inputs(
            noise, found.context, found.blank, found.labels, keys, found.added, found.blank_added
        )

    def _conditions(
        self,
        seeds: tuple[int, ...],
        labels: tuple[int, ...] | None,
        prompts: str | Sequence[str] | None,
        negative: str | Sequence[str] | None,
        report: Report,
    ) -> Conditioned:
        if not isinstance(self.conditioning, TextConditioning):
            if prompts is not None or negative:
                raise ValueError(f"{self.name} reads classes, not prompts")
            return self.conditioning.for_seeds(seeds, labels)
        if labels is not None:
            raise ValueError(f"{self.name} reads prompts, not labels")
        texts = _turns(self.prompts, seeds) if prompts is None else prompts
        away = self.negative if negative is None else negative
        return self.conditioning.for_texts(len(seeds), texts, away, self.picture_size, report)


def flat_weights(unet: UNet2DCondition | DiT) -> tuple[Array, ...]:
    """A model's arrays in the order of its module tree."""
    return tuple(jax.tree.leaves(nnx.split(unet)[1]))


def _turns(prompts: tuple[str, ...], seeds: tuple[int, ...]) -> Sequence[str]:
    if not prompts:
        raise ValueError("Prompts are needed: inputs(seeds, prompts=...) or with_prompts(...)")
    return [prompts[seed % len(prompts)] for seed in seeds]


def _as_sampler(scheduler: Scheduler, name: str, first: Scheduler, latent: bool) -> Scheduler:
    """Another sampler on the same noising process, with all settings it shares with these two.

    Args:
        latent: samples are latents, which are not bounded as pixels are: where neither of the two
            says, none are clipped, and the last step lands on timestep 0's noise, as in the files
            of latent diffusion.
    """
    if name not in SAMPLERS:
        raise ValueError(f"Sampler must be one of {', '.join(SAMPLERS)}. You gave {name!r}")
    if isinstance(scheduler, SAMPLERS[name]):
        return scheduler
    known = {**(LATENT if latent else {}), **dict(first), **dict(scheduler)}
    fields = SAMPLERS[name].model_fields.keys() & known.keys()
    return SAMPLERS[name](**{field: known[field] for field in fields})
