"""A model of the shipped one's layout, small and untrained, for tests of everything around it."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import jax

from workbench.diffusion.checkpoint import save_unet
from workbench.diffusion.conditioning import ClassTokens
from workbench.diffusion.dit import ClassLabels
from workbench.diffusion.pipeline import Pipeline, flat_weights
from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import DDIM
from workbench.diffusion.schedulers.files import save_scheduler
from workbench.diffusion.unet import UNetConfig, new_unet

CONFIG = UNetConfig(
    sample_size=16,
    in_channels=1,
    out_channels=1,
    block_out_channels=(8, 16),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    attention_head_dim=2,
    cross_attention_dim=6,
    norm_num_groups=4,
)

SMALL = {
    "sampling": {"steps": 8, "seeds": 8, "look": "Feature inheritance"},
    "feature_inheritance": {"interval": 4},
    "encoder_propagation": {"key_steps": "uniform", "interval": 4, "largest_group": 2},
    "fewer_steps": {"steps": 4},
}
"""Settings of the panel under which a run takes seconds."""


def write(folder: Path) -> Path:
    """A model folder: UNet, class tokens, scheduler."""
    save_unet(new_unet(CONFIG, seed=3), folder / "unet")
    ClassTokens.create(10, 2, 6, jax.random.key(4)).save(folder / "class_tokens")
    save_scheduler(DDIM(), folder / "scheduler")
    return folder


@functools.cache
def pipeline() -> Pipeline:
    """The model, loaded once a process."""
    with tempfile.TemporaryDirectory() as place:
        return Pipeline.load(write(Path(place) / "tiny-unet"))


@functools.cache
def dit_pipeline() -> Pipeline:
    """A diffusion transformer of the true structure, small and untrained."""
    from tests.diffusion.dit.conftest import SMALL as CONFIG_OF_DIT
    from tests.diffusion.dit.conftest import random_dit

    return Pipeline(
        name="small-transformer",
        config=CONFIG_OF_DIT,
        weights=flat_weights(random_dit()),
        conditioning=ClassLabels(10),
        scheduler=DDIM(),
        weights_hash="small-transformer",
        steps=10,
        guidance=2.0,
        plan=Plan.full(10),
    )


if __name__ == "__main__":  # a browser test's kernel reads what this wrote
    print(write(Path(os.environ["TINY_MODEL"])))
