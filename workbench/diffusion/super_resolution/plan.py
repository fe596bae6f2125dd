"""How long everything is trained, and by which recipe; all of it ours, at a size for a CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workbench.diffusion.super_resolution.autoencoding import READINGS, Reading
from workbench.diffusion.super_resolution.forms import (
    SMALL4,
    SMALL8,
    SMALL_TVT_UNET,
    SMALL_UNET,
    autoencoder_form,
    with_outer_level,
)
from workbench.diffusion.unet import UNetConfig
from workbench.diffusion.unet.config import PLAIN_DOWN, PLAIN_UP
from workbench.diffusion.vae import AutoencoderConfig
from workbench.training import Recipe

BASE_SEED = 100
"""Of the 8x autoencoder and its teacher, which all seeds share: they stand for given weights."""


@dataclass(frozen=True)
class Plan:
    """Forms, data and lengths of a study.

    Attributes:
        vae8, vae4: the autoencoders; the second takes the first one's scaling.
        unet8, unet4: the teacher, which is also the 8x restorer, and that grown by a level.
        side: pixels of a picture.
        count: training pictures of a kind.
        held_out: pictures of a kind to be judged on.
        batch_size: pictures of an update.
        base_steps: updates of the 8x autoencoder.
        stage_steps: updates of each of the two stages.
        teacher_steps: updates of the diffusion model of latents.
        restoring_steps: updates of a one-step network.
        learning_rate: of autoencoders.
        restoring_rate: of the UNets.
        distillation: weight of score distillation.
        readings: of stage 1, the first of which goes on to super-resolution.
        seeds: each trains both stages, the rivals and the restorers anew.
    """

    name: str = "tvt"
    vae8: AutoencoderConfig = SMALL8
    vae4: AutoencoderConfig = SMALL4
    unet8: UNetConfig = SMALL_UNET
    unet4: UNetConfig = SMALL_TVT_UNET
    side: int = 64
    count: int = 1024
    held_out: int = 32
    batch_size: int = 8
    base_steps: int = 1000
    stage_steps: int = 450
    teacher_steps: int = 800
    restoring_steps: int = 350
    learning_rate: float = 2e-3
    restoring_rate: float = 1e-3
    distillation: float = 1.0
    readings: tuple[Reading, ...] = READINGS
    seeds: tuple[int, ...] = (0, 1, 2)

    def recipe(self, steps: int, rate: float, seed: int) -> Recipe:
        """AdamW, a short warm-up, a cosine to a twentieth, averaged weights."""
        return Recipe(
            steps=steps,
            batch_size=self.batch_size,
            learning_rate=rate,
            warmup=min(50, steps // 4),
            schedule="cosine",
            final_fraction=0.05,
            weight_decay=1e-2,
            clip_norm=1.0,
            ema_decay=0.98,
            log_every=max(1, steps // 50),
            checkpoint_every=300,
            seed=seed,
        )

    def updates(self, *, study: bool) -> int:
        """Updates of the shipped pairs, or of a study, with rivals of as many; for progress."""
        shared, stages = self.base_steps + self.teacher_steps, 2 * self.stage_steps
        if not study:
            return shared + 2 * (stages + self.restoring_steps)
        seed = (len(self.readings) + 2) * stages + 3 * self.restoring_steps
        return shared + len(self.seeds) * seed

    def tiny(self) -> Plan:
        """A few updates, narrow, shallow and by one reading: whether it works, and nothing else."""
        one_level = {
            "block_out_channels": (8,),
            "down_block_types": (PLAIN_DOWN,),
            "up_block_types": (PLAIN_UP,),
            "norm_num_groups": 2,
        }
        unet8 = self.unet8.model_copy(update=one_level)
        return replace(
            self,
            name=f"{self.name}-tiny",
            vae8=autoencoder_form((4, 4, 8, 8), layers=1, groups=2, mid_block=False),
            vae4=autoencoder_form((4, 4, 8), layers=1, groups=2, mid_block=False),
            unet8=unet8,
            unet4=with_outer_level(unet8, 4, layers=1),
            count=8,
            held_out=4,
            batch_size=2,
            base_steps=3,
            stage_steps=2,
            teacher_steps=2,
            restoring_steps=2,
            readings=self.readings[:1],
        )
