"""Exported plans followed by diffusers itself: the same latents as here."""

import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from tests.peers import peer

torch = peer("torch")
diffusers = peer("diffusers")

from tests.parity import small_pipelines  # noqa: E402
from workbench.diffusion import load_pipeline, sample  # noqa: E402
from workbench.diffusion.plan import Plan  # noqa: E402

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # torch's own
]

PROMPTS = ["a red CAT sings!", "the dog, 42 times"]
NEGATIVE = "and the cat"
STEPS = 8
WORDS = {"f": "full", "d": "decode", "s": "shallow", "i": "inherit"}
UNIT = "up.1.layer.2.transformer.0.self_attention"


def plan(letters: str, **more: Any) -> Plan:
    return Plan(tuple(WORDS[letter] for letter in letters), **more)


PLANS = {
    "full": plan("f" * STEPS),
    "decode with noise": plan("fddfdddd", injection=0.01, largest_group=2),
    "branch 3": plan("fsfsfsfs", branch=3),
    "blocks": plan("fiifiiff", inherited=("down.1", "mid")),
    "units": plan("fiiffifi", inherited=("**.resnet", UNIT, "**.feed_forward")),
    "all kinds": plan("fsidfdsi", branch=1, inherited=("up.0",)),
}


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """Programs of this file are many and small; what they compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Stable Diffusion 1's form with two layers a block, as the full-size one has."""
    root = tmp_path_factory.mktemp("export")
    parts = small_pipelines.pipeline("1", root / "tokens").components
    torch.manual_seed(1)
    parts["unet"] = diffusers.UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=2,
        attention_head_dim=8,
        cross_attention_dim=small_pipelines.WIDTH,
    )
    made = diffusers.StableDiffusionPipeline(**parts, requires_safety_checker=False)
    made.set_progress_bar_config(disable=True)
    made.save_pretrained(root / "model")
    return made, root / "model"


SAMPLERS = {
    "PNDM": (diffusers.PNDMScheduler, {"skip_prk_steps": True}),
    "Euler": (diffusers.EulerDiscreteScheduler, {"timestep_spacing": "trailing"}),
    "DPM++ 2M": (diffusers.DPMSolverMultistepScheduler, {}),
}


@pytest.fixture(scope="module")
def others(peer: tuple[Any, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same with another sampler, or Stable Diffusion XL's form; made once each."""
    made: dict[str, tuple[Any, Any]] = {}

    def one(name: str) -> tuple[Any, Any]:
        if name not in made:
            root = tmp_path_factory.mktemp("other")
            if name == "XL":
                found = small_pipelines.pipeline("XL", root / "tokens")
            else:
                kind, more = SAMPLERS[name]
                parts = {
                    **peer[0].components,
                    "scheduler": kind(**small_pipelines.NOISE, steps_offset=1, **more),
                }
                found = diffusers.StableDiffusionPipeline(**parts, requires_safety_checker=False)
            found.set_progress_bar_config(disable=True)
            found.save_pretrained(root / "model")
            read = load_pipeline(root / "model").with_sampling(steps=STEPS, guidance=3.0)
            made[name] = found, read
        return made[name]

    return one


@pytest.fixture(scope="module")
def ours(peer: tuple[Any, Path]) -> Any:
    return load_pipeline(peer[1]).with_sampling(steps=STEPS, guidance=3.0)


def theirs(peer: Any, noise: np.ndarray, steps: int = STEPS) -> np.ndarray:
    latents = torch.from_numpy(np.ascontiguousarray(noise.transpose(0, 3, 1, 2)))
    kind = {"guidance_scale": 3.0, "negative_prompt": [NEGATIVE] * len(PROMPTS)}
    with torch.inference_mode():
        found = peer(
            PROMPTS, latents=latents, output_type="latent", num_inference_steps=steps, **kind
        ).images
    return found.numpy().transpose(0, 2, 3, 1)


def latents_here(ours: Any, planned: Plan) -> tuple[np.ndarray, np.ndarray]:
    pipeline = ours.with_plan(planned)
    inputs = pipeline.inputs((3, 5), prompts=PROMPTS, negative=NEGATIVE)
    # Latents alone are compared, so nothing is decoded.
    found = sample(replace(pipeline, vae=None), inputs)
    return found["latents"][:, -1], np.asarray(inputs.noise)


def snippet(planned: Plan) -> Any:
    """The exported file, run as a user's program runs it."""
    module = types.ModuleType("exported")
    exec(compile(planned.export("diffusers"), "exported.py", "exec"), module.__dict__)
    return module


def error(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("name", PLANS)
def test_the_snippet_gives_the_plans_latents(peer: Any, ours: Any, name: str) -> None:
    found, noise = latents_here(ours, PLANS[name])
    full = theirs(peer[0], noise)
    stop = snippet(PLANS[name]).follow(peer[0])
    try:
        wanted = theirs(peer[0], noise)
        again = theirs(peer[0], noise)
    finally:
        stop()
    assert error(found, wanted) <= 1e-4
    assert np.array_equal(wanted, again)
    # A plan is followed, and afterwards it is not.
    assert np.array_equal(wanted, full) == (name == "full")
    assert np.array_equal(theirs(peer[0], noise), full)


@pytest.mark.parametrize("name", [*SAMPLERS, "XL"])
def test_other_samplers_and_forms_follow_alike(others: Any, name: str) -> None:
    """The file asks for the number of steps itself: PNDM's is one less than the plan's."""
    pipe, here = others(name)
    found, noise = latents_here(here, PLANS["all kinds"])
    exported = snippet(PLANS["all kinds"])
    asked = exported.inference_steps(pipe)
    assert asked == (STEPS - 1 if name == "PNDM" else STEPS)
    full = theirs(pipe, noise, asked)
    stop = exported.follow(pipe)
    try:
        wanted = theirs(pipe, noise, asked)
    finally:
        stop()
    assert error(found, wanted) <= 1e-4 < error(full, wanted)


def test_reused_layers_do_not_run(peer: Any, ours: Any) -> None:
    calls: list[str] = []
    handle = (
        peer[0]
        .unet.mid_block.resnets[0]
        .conv1.register_forward_hook(lambda *_: calls.append("mid"))
    )
    stop = snippet(PLANS["branch 3"]).follow(peer[0])
    theirs(peer[0], np.zeros((2, 16, 16, 4), np.float32))
    stop()
    handle.remove()
    assert len(calls) == PLANS["branch 3"].actions.count("full")


def test_another_number_of_steps_is_refused(peer: Any) -> None:
    stop = snippet(PLANS["blocks"]).follow(peer[0])
    try:
        with pytest.raises(ValueError, match="the plan has 8 steps; this run calls the UNet 6"):
            theirs(peer[0], np.zeros((2, 16, 16, 4), np.float32), steps=6)
    finally:
        stop()


@pytest.mark.parametrize("branch", [0, 2, 4])
def test_the_deepcache_package_counts_branches_alike(peer: Any, ours: Any, branch: int) -> None:
    planned = plan("fssfssfs", branch=branch)
    found, noise = latents_here(ours, planned)
    assert error(found, by_the_package(peer[0], ours, planned, noise)) <= 1e-4


def by_the_package(pipe: Any, ours: Any, planned: Plan, noise: np.ndarray) -> np.ndarray:
    """Latents of the exported call of the DeepCache package."""
    asked = "pipe(prompt, num_inference_steps="
    call = planned.export("deepcache", ours.config)
    assert asked in call
    call = call.replace(asked, "run(").replace(").images", ")")
    names: dict[str, Any] = {"pipe": pipe, "run": lambda steps: theirs(pipe, noise, steps)}
    exec(call, names)
    return names["images"]


@pytest.mark.parametrize("branch", range(4))
def test_the_package_is_given_its_own_number_of_a_branch(others: Any, branch: int) -> None:
    """Up blocks of two layers: the package counts three all the same."""
    pipe, here = others("XL")
    planned = plan("fssfssfs", branch=branch)
    found, noise = latents_here(here, planned)
    assert error(found, by_the_package(pipe, here, planned, noise)) <= 1e-4


def test_the_package_on_pndm(others: Any) -> None:
    pipe, here = others("PNDM")
    planned = plan("fssfssfs", branch=2)
    found, noise = latents_here(here, planned)
    assert error(found, by_the_package(pipe, here, planned, noise)) <= 1e-4
    with pytest.raises(ValueError, match="skips step 2"):
        by_the_package(pipe, here, plan("fsfsfsfs"), noise)
