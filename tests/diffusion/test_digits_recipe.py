"""The recipe of the shipped model: batches, timesteps, and a short training run of each part."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workbench.diffusion.classifier import load_classifier
from workbench.diffusion.digits import recipe as shipped
from workbench.diffusion.digits.augmentation import Augmentation
from workbench.diffusion.digits.train import main
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.unet import UNetConfig

# One block with attention and one without: compiling an update costs by operations, not by widths.
SMALL = UNetConfig(
    sample_size=16,
    in_channels=1,
    out_channels=1,
    block_out_channels=(8,),
    down_block_types=("CrossAttnDownBlock2D",),
    mid_block_type=None,
    up_block_types=("UpBlock2D",),
    layers_per_block=1,
    attention_head_dim=2,
    cross_attention_dim=8,
    norm_num_groups=4,
)


def small_recipe(**changes):
    fields = {"steps": 4, "batch_size": 8, "warmup": 1, "log_every": 2, "checkpoint_every": 2}
    return shipped.UNET_RECIPE.model_copy(update={**fields, **changes})


def test_augmentation_is_its_seed_and_step() -> None:
    images = np.asarray(shipped.DiffusionTask().data.train.images[:4])
    augmentation = Augmentation(turn=5, shift=1, stretch=0.05)
    first = augmentation(images, 3, 7)
    np.testing.assert_array_equal(first, augmentation(images, 3, 7))
    assert np.abs(first - augmentation(images, 3, 8)).max() > 0.05
    assert first.min() >= 0 and first.max() <= 1


def test_augmentation_of_nothing_changes_nothing() -> None:
    images = np.asarray(shipped.DiffusionTask().data.train.images[:4])
    still = Augmentation(turn=0, shift=0, stretch=0)(images, 0, 0)
    np.testing.assert_allclose(still, images.astype(np.float32) / 255, atol=1e-5)


def test_batches_hold_training_digits_in_the_range_of_the_noise() -> None:
    task = shipped.DiffusionTask(small_recipe(), SMALL)
    batch = task.batch(0)
    assert batch["images"].shape == (8, 16, 16, 1)
    assert -1 <= batch["images"].min() < -0.9 < 0.9 < batch["images"].max() <= 1


def test_timesteps_cover_every_noise_level() -> None:
    t = np.sort(np.asarray(shipped.even_timesteps(jax.random.key(2), 10, 1000)))
    assert t.min() >= 0 and t.max() < 1000
    np.testing.assert_allclose(np.diff(t), 100, atol=1)


@pytest.mark.slow
@pytest.mark.long
def test_the_loss_of_fresh_weights_is_about_one_and_tokens_matter() -> None:
    task = shipped.DiffusionTask(small_recipe(), SMALL)
    params, key = task.init(jax.random.key(0)), jax.random.key(1)
    batch = jax.tree.map(jnp.asarray, task.batch(0))
    loss_of = jax.jit(lambda params: task.loss(params, batch, key)[0])
    loss = float(loss_of(params))
    assert 0.3 < loss < 3
    assert float(loss_of({**params, "tokens": -params["tokens"]})) != loss


@pytest.mark.slow  # compiles three updates
def test_one_command_goes_on_where_it_stopped_and_writes_all_that_ships(
    tmp_path, monkeypatch
) -> None:
    short = shipped.CLASSIFIER_RECIPE.model_copy(update={"warmup": 1, "batch_size": 8, "steps": 3})
    monkeypatch.setattr(shipped, "CLASSIFIER_RECIPE", short)
    monkeypatch.setattr(shipped, "UNET", SMALL)
    monkeypatch.setattr(shipped, "UNET_RECIPE", small_recipe(steps=40))
    out = tmp_path / "out"
    command = ["--out", str(out), "--runs", str(tmp_path / "runs")]

    def facts(part):
        return json.loads((out / f"training-{part}.json").read_text(encoding="utf-8"))

    main([*command, "--minutes", "0"])
    assert 1 <= facts("unet")["steps"] < 40
    assert not (out / "classifier").exists(), "a call that was stopped begins no other part"
    main(command)
    assert facts("unet")["steps"] == 40
    assert facts("unet")["command"] == "python -m workbench.diffusion.digits.train"
    pipeline = Pipeline.load(out, steps=3)
    assert pipeline.config == SMALL
    assert pipeline.scheduler == shipped.SCHEDULER
    assert pipeline.tokens.classes == 10
    assert load_classifier(out / "classifier").config == shipped.CLASSIFIER
    assert facts("classifier")["steps"] == 3
    assert 0 <= facts("classifier")["test_accuracy"] <= 1
    card = (out / "card.md").read_text(encoding="utf-8")
    assert "8×8 originals" in card and "40 of 40 updates" in card and "3 of 3 updates" in card
