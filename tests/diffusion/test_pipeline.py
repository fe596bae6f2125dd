"""Pipelines: settings, inputs by seed, and folders that load or say what is wrong."""

import json
import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from tests.diffusion.conftest import random_unet
from workbench.checkpoints import CheckpointError
from workbench.diffusion.checkpoint import save_unet
from workbench.diffusion.conditioning import ClassTokens
from workbench.diffusion.pipeline import Pipeline, flat_weights
from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import (
    DDIM,
    DDPM,
    PNDM,
    DPMSolverPlusPlus,
    Euler,
    save_scheduler,
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tiny_unet, tiny):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_unet(tiny_unet, folder / "unet")
    save_scheduler(DDIM(), folder / "scheduler")
    tiny.tokens.save(folder / "class_tokens")
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "tiny")


def test_a_saved_folder_is_the_same_pipeline(saved, tiny):
    found = Pipeline.load(saved, steps=10)
    assert (found.name, found.steps, found.guidance) == ("tiny", 10, 1.5)
    assert found.config == tiny.config and found.scheduler == tiny.scheduler
    for mine, theirs in zip(found.weights, tiny.weights, strict=True):
        assert np.array_equal(mine, theirs)
    mine, theirs = found.inputs((3, 14)), tiny.inputs((3, 14))
    assert np.array_equal(mine.context, theirs.context)
    assert np.array_equal(mine.noise, theirs.noise)
    assert Pipeline.load(saved).fingerprint == Pipeline.load(saved).fingerprint


def test_the_fingerprint_names_all_that_changes_a_picture(tiny):
    changed = [
        tiny.with_sampling(steps=11),
        tiny.with_sampling(guidance=2.1),
        tiny.with_sampling(sampler="dpm++"),
        tiny.with_plan(Plan.from_full_steps((0,), 10, "decode")),
        replace(tiny, weights_hash="other"),
        tiny,
    ]
    assert len({pipeline.fingerprint for pipeline in changed}) == len(changed)
    assert replace(tiny).fingerprint == tiny.fingerprint


@pytest.mark.parametrize("part", [
    "unet/diffusion_pytorch_model.safetensors", "unet/config.json",
    "class_tokens/model.safetensors", "class_tokens/config.json",
    "scheduler/scheduler_config.json",
])  # fmt: skip
def test_a_missing_part_is_named(folder, part):
    (folder / part).unlink()
    with pytest.raises((CheckpointError, ValueError)) as caught:
        Pipeline.load(folder)
    assert part.split("/")[0] in str(caught.value)


@pytest.mark.parametrize(
    "part", ["unet/diffusion_pytorch_model.safetensors", "class_tokens/model.safetensors"]
)
def test_a_truncated_file_is_named(folder, part):
    content = (folder / part).read_bytes()
    (folder / part).write_bytes(content[: len(content) - 100])
    with pytest.raises(CheckpointError) as caught:
        Pipeline.load(folder)
    assert part in str(caught.value)


def test_weights_that_are_no_numbers_are_refused(folder):
    unet = random_unet(seed=0)
    unet.conv_in.kernel[...] = np.full(unet.conv_in.kernel.shape, np.nan, np.float32)
    save_unet(unet, folder / "unet")
    with pytest.raises(CheckpointError, match=r"conv_in\.weight"):
        Pipeline.load(folder)


def test_tokens_of_another_width_are_refused(folder):
    ClassTokens.create(10, 3, 12, jax.random.key(1)).save(folder / "class_tokens")
    with pytest.raises(CheckpointError, match="tokens are 12 wide; the UNet's cross_attention_dim"):
        Pipeline.load(folder)


def test_a_unet_without_a_size_is_refused(folder):
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "sample_size": None}))
    with pytest.raises(CheckpointError, match="no sample_size"):
        Pipeline.load(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "Steps must be between 1 and 1000. You gave 0"),
        ({"steps": 1001}, "Steps must be between 1 and 1000. You gave 1001"),
        (
            {"sampler": "pndm", "steps": 2},
            "n_steps=2: PNDM evaluates its second timestep twice; take 1, or 3 or more steps",
        ),
        ({"guidance": -1.0}, "Guidance must be at least 0. You gave -1.0"),
        ({"guidance": float("nan")}, "Guidance must be at least 0. You gave nan"),
        (
            {"sampler": "heun"},
            "Sampler must be one of ddim, ddpm, dpm++, pndm, euler, euler-ancestral, lcm."
            " You gave 'heun'",
        ),
    ],
)
def test_sampling_out_of_range_is_refused(tiny, settings, message):
    with pytest.raises(ValueError) as caught:
        tiny.with_sampling(**settings)
    assert str(caught.value) == message


def test_another_sampler_keeps_the_noising_process(tiny):
    own = replace(tiny, scheduler=DDIM(beta_start=0.001, steps_offset=0))
    for name, kind in (("ddpm", DDPM), ("dpm++", DPMSolverPlusPlus), ("ddim", DDIM)):
        found = own.with_sampling(sampler=name)
        assert type(found.scheduler) is kind and found.scheduler.beta_start == 0.001
    assert own.with_sampling(sampler="ddim").scheduler is own.scheduler
    reused = tiny.with_plan(Plan.from_full_steps((0,), 10, "decode"))
    assert reused.with_sampling(guidance=3.0).plan.is_full


@pytest.mark.parametrize("way", [["dpm++"], ["ddpm"], ["dpm++", "ddpm"], ["ddpm", "dpm++"]])
@pytest.mark.parametrize(
    "own",
    [
        DDIM(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        DDPM(clip_sample=False, variance_type="fixed_large"),
        DPMSolverPlusPlus(solver_order=1, lower_order_final=False, timestep_spacing="trailing"),
    ],
    ids=lambda own: type(own).__name__,
)
def test_a_sampler_comes_back_with_its_own_settings(tiny, own, way):
    pipeline = replace(tiny, scheduler=own)
    for name in way:
        pipeline = pipeline.with_sampling(sampler=name).with_sampling(steps=7)
        if {type(own), type(pipeline.scheduler)} == {DDIM, DDPM}:
            assert pipeline.scheduler.clip_sample is False
    back = {DDIM: "ddim", DDPM: "ddpm", DPMSolverPlusPlus: "dpm++"}[type(own)]
    assert pipeline.with_sampling(sampler=back).scheduler == own


@pytest.mark.parametrize(
    "own", [PNDM(), Euler(), DPMSolverPlusPlus()], ids=lambda s: type(s).__name__
)
def test_latents_are_not_clipped_by_a_sampler_that_took_the_place_of_one_without_clipping(
    tiny, own
):
    pixels = replace(tiny, scheduler=own)
    latents = replace(pixels, vae=object())
    for name in ("ddim", "ddpm"):
        assert pixels.with_sampling(sampler=name).scheduler.clip_sample is True
        assert latents.with_sampling(sampler=name).scheduler.clip_sample is False
    assert latents.with_sampling(sampler="ddim").scheduler.set_alpha_to_one is False


def test_a_sampler_set_by_hand_is_kept(tiny):
    there = replace(tiny.with_sampling(sampler="ddpm"), scheduler=DDPM(beta_start=0.005))
    assert there.with_sampling(sampler="ddim").scheduler.beta_start == 0.005


def test_a_pipeline_can_be_a_key(tiny):
    assert {tiny: 1}[tiny] == 1 and replace(tiny) != tiny


def test_home_is_the_folder_that_holds_this_model(saved, tiny, tmp_path):
    found = Pipeline.load(saved)
    assert found.home == found.with_sampling(sampler="dpm++", steps=3).home == str(saved)
    assert tiny.home == "" and replace(found, weights_hash="pruned").home == ""
    assert replace(found, scheduler=DDIM(beta_start=0.005)).home == ""
    assert replace(found, folder=str(tmp_path / "gone")).home == ""


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_outside_their_range_are_named(tiny, seed):
    with pytest.raises(ValueError, match="^Seeds must be between 0 and 4294967295") as caught:
        tiny.inputs((0, seed))
    assert str(caught.value).endswith(f"You gave {seed}")


def test_classes_take_turns_by_seed_unless_asked_for(tiny):
    found = tiny.inputs((0, 9, 10, 25))
    assert found.labels.tolist() == [0, 9, 0, 5]
    asked = tiny.inputs((0, 9), labels=(3, 3))
    assert asked.labels.tolist() == [3, 3]
    assert np.array_equal(asked.context[0], asked.context[1])
    # The same draws; vectors of another length may round the last bit otherwise.
    np.testing.assert_allclose(asked.noise, found.noise[:2], rtol=1e-5, atol=1e-6)
    assert found.noise.shape == (4, 8, 8, 1) and found.blank.shape == (4, 3, 8)
    with pytest.raises(ValueError, match="labels: 10 is not a class"):
        tiny.inputs((0,), labels=(10,))


def test_weights_keep_the_order_of_the_module(tiny_unet, tiny):
    assert len(tiny.weights) == len(flat_weights(tiny_unet))
    assert sum(w.size for w in tiny.weights) == sum(
        leaf.size for leaf in jax.tree.leaves(nnx.state(tiny_unet, nnx.Param))
    )


def test_one_pass_without_guidance(tiny, unguided):
    assert (tiny.passes, unguided.passes) == (2, 1)
    assert tiny.with_sampling(guidance=0.0).passes == 2
