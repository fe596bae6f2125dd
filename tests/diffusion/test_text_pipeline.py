"""Text to image: what prompts become, sizes, pictures, parts' costs, and every method on it."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.diffusion.text_models import (
    LENGTH,
    VAE,
    VAE_CONFIG,
    WIDTH,
    filled,
    text_pipeline,
)
from workbench import compare
from workbench.diffusion import driver, images
from workbench.diffusion.drift import drift
from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.full_sampling import FullSampling
from workbench.diffusion.images import LatentColours, decode_images
from workbench.diffusion.part_costs import (
    DECODER,
    TEXT,
    UNET,
    compiled_bytes,
    decoder_cost,
    needed_bytes,
)
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import start
from workbench.labs.diffusion.sampling_study import study

PROMPTS = ["a cat", "the dog"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return text_pipeline(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return text_pipeline(tmp_path_factory.mktemp("two"), encoders=2)


@pytest.mark.slow
def test_one_encoder_gives_its_last_states(text: Pipeline) -> None:
    inputs = text.inputs((0, 1, 2), prompts=["a cat", "the dog", "a cat"], negative="red")
    (tokenizer,), (encoder,) = text.conditioning.tokenizers, text.conditioning.encoders
    tokens = jnp.asarray(tokenizer(["a cat", "the dog", "a cat", "red"]))
    wanted = np.asarray(encoder(tokens).last)
    np.testing.assert_allclose(inputs.context, wanted[:3], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(inputs.blank, wanted[[3, 3, 3]], rtol=1e-5, atol=1e-5)
    assert inputs.labels.tolist() == [0, 1, 0] and inputs.added is None
    assert text.conditioning.width == WIDTH and text.shape.tokens == LENGTH


@pytest.mark.slow
def test_two_encoders_stand_side_by_side(two: Pipeline) -> None:
    sized = two.with_size(16, 24)
    inputs = sized.inputs((4,), prompts="a cat", negative="red")
    first, second = two.conditioning.encoders
    rows = [jnp.asarray(t(["a cat"])) for t in two.conditioning.tokenizers]
    features = [first(rows[0]), second(rows[1])]
    wanted = jnp.concatenate([f.penultimate for f in features], axis=-1)
    np.testing.assert_allclose(inputs.context, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(inputs.added.pooled, features[1].pooled, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(inputs.added.time_ids, [[16, 24, 0, 0, 16, 24]])
    assert inputs.noise.shape == (1, 8, 12, 4) and sized.picture_size == (16, 24)


@pytest.mark.slow
def test_an_empty_negative_prompt_may_be_zeros(text: Pipeline, two: Pipeline) -> None:
    empty = two.inputs((0,), prompts="a cat")
    assert not np.any(empty.blank) and not np.any(empty.blank_added.pooled)
    assert np.any(two.inputs((0,), prompts="a cat", negative="red").blank)
    assert np.any(text.inputs((0,), prompts="a cat").blank)


def test_prompts_kept_by_the_pipeline_take_turns(text: Pipeline) -> None:
    kept = text.with_prompts(PROMPTS, negative="red")
    mine, theirs = kept.inputs((0, 1, 3)), text.inputs(
        (0, 1, 3), prompts=["a cat", "the dog", "the dog"], negative="red"
    )  # fmt: skip
    np.testing.assert_array_equal(mine.context, theirs.context)
    np.testing.assert_array_equal(mine.blank, theirs.blank)
    assert kept.fingerprint != text.fingerprint
    assert text.with_size(32, 32).fingerprint != text.fingerprint
    lighter = filled(VAE.abstract(VAE_CONFIG), 10)
    assert replace(text, vae=lighter).fingerprint != text.fingerprint
    reading = text.conditioning
    (tokenizer,) = reading.tokenizers
    for other in (
        replace(reading, zeros_for_empty=True),
        replace(reading, tokenizers=(replace(tokenizer, pad=tokenizer.first),)),
    ):
        assert replace(text, conditioning=other).fingerprint != text.fingerprint
    assert replace(text).fingerprint == text.fingerprint


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"prompts": ["a", "b", "c"]},
            "Prompts must be one text for all, or one for each of",
        ),
        ({"prompts": "a", "negative": ["b"]}, "Negative prompts must be one text for all"),
        ({"prompts": ["a", 7]}, "Prompts must be texts. You gave 7"),
        ({}, "Prompts are needed"),
        ({"labels": (0, 1)}, "reads prompts, not labels"),
    ],
)
def test_prompts_that_cannot_be_read(text: Pipeline, given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        text.inputs((0, 1), **given)


def test_classes_read_no_prompts(tiny: Pipeline) -> None:
    with pytest.raises(ValueError, match="reads classes, not prompts"):
        tiny.inputs((0,), prompts="a cat")
    with pytest.raises(ValueError, match="reads classes, not prompts"):
        tiny.with_prompts("a cat")


@pytest.mark.parametrize(("size", "near"), [((18, 16), "16 or 20"), ((16, 30), "28 or 32")])
def test_a_size_that_cannot_be_halved_is_refused(
    text: Pipeline, size: tuple[int, int], near: str
) -> None:
    with pytest.raises(ValueError, match=f"must be a multiple of 4 for this model.*{near}"):
        text.with_size(*size)
    with pytest.raises(ValueError, match="Height must be a multiple of 4.*You gave 0"):
        text.with_size(0, 16)


@pytest.fixture(scope="module")
def drawn(text: Pipeline) -> dict:
    """A full run, what was reported on the way, and its inputs."""
    inputs = text.inputs((0, 1), prompts=PROMPTS, negative="red")
    seen: list = []
    found = driver.sample(
        text, inputs, lambda *args: seen.append(args), preview=LatentColours.of(text.vae)
    )
    return {**found, "inputs": inputs, "seen": seen}


@pytest.mark.slow
def test_a_run_is_the_plain_loop_and_decodes(text: Pipeline, drawn: dict) -> None:
    inputs = drawn["inputs"]
    unet = driver.programs(text.config, text.precision).unet(text.weights)
    schedule = text.scheduler.plan(text.steps)
    x, state = inputs.noise, start(inputs.noise)
    step = jax.jit(lambda x, t, c: unet(x, t, c))
    for i, t in enumerate(np.asarray(schedule.timesteps)):
        t = jnp.float32(t)
        blank, asked = step(x, t, inputs.blank), step(x, t, inputs.context)
        x, state = schedule.step(i, x, blank + 2.0 * (asked - blank), state)
    np.testing.assert_allclose(drawn["latents"][:, -1], x, rtol=1e-4, atol=1e-4)
    z = x / text.vae.config.scaling_factor
    image = np.clip((np.asarray(text.vae.decode(z)) + 1) / 2, 0, 1)
    np.testing.assert_allclose(drawn["image"], image, atol=1e-4)
    assert drawn["image"].shape == (2, 16, 16, 3)


def test_progress_tells_steps_with_previews_and_decoding(drawn: dict) -> None:
    notes = [args[2] for args in drawn["seen"]]
    assert notes[0] == "sampling" and notes[-1] == "decoding"
    shown = [args[3] for args in drawn["seen"] if len(args) > 3]
    assert len(shown) == 3
    assert all(p.shape == (2, 8, 8, 3) and p.dtype == np.uint8 for p in shown)


@pytest.mark.slow
def test_decoding_one_by_one_is_decoding_at_once(
    text: Pipeline, drawn: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.diffusion.images.available_bytes", lambda: 1)
    notes: list = []
    found = decode_images(text.vae, drawn["latents"][:, -1], lambda *args: notes.append(args[:2]))
    assert notes == [(0, 2), (1, 2), (2, 2)]
    np.testing.assert_allclose(found, drawn["image"], atol=1e-5)


def test_the_decoder_leaves_no_product_to_ynnpack(text: Pipeline) -> None:
    graph, weights = nnx.split(text.vae)
    latents = jnp.zeros((1, 8, 8, text.vae.config.latent_channels))
    program = images._decoder().lower(graph, weights, latents).compile().as_text()
    assert " dot(" in program
    taken = re.findall(r"ynn_fusion\S* = .*op_name=\"([^\"]*)\"", program)
    assert not [name for name in taken if "dot" in name]


@pytest.mark.slow
def test_preview_colours_are_the_least_squares_of_the_decoder(text: Pipeline) -> None:
    """On latents they were fitted to, no other linear map is nearer."""
    colours = LatentColours.of(text.vae, samples=2)
    coarse = np.random.default_rng(0).normal(size=(2, 2, 2, 4))
    latents = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2).astype(np.float32)
    means = decode_images(text.vae, latents).reshape(2, 8, 2, 8, 2, 3).mean(axis=(2, 4))

    def miss(matrix: np.ndarray) -> float:
        return float(np.square(latents @ matrix[:-1] + matrix[-1] - means).sum())

    best = miss(colours.matrix)
    draw = np.random.default_rng(1)
    for _ in range(5):
        assert miss(colours.matrix + 0.01 * draw.normal(size=colours.matrix.shape)) > best


@pytest.mark.slow
def test_every_part_is_counted(text: Pipeline) -> None:
    costs = text.costs()
    assert list(costs) == [TEXT, UNET, DECODER]
    free = replace(text, guidance=1.0).costs()
    assert costs[TEXT].macs == 2 * free[TEXT].macs and costs[UNET].macs == 2 * free[UNET].macs
    assert costs[DECODER].macs == free[DECODER].macs
    assert decoder_cost(text.vae.config, 16, 16).macs > 4 * costs[DECODER].macs
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(nnx.split(text.vae)[1]))
    assert costs[DECODER].weights == weights
    layer = 4 * WIDTH * WIDTH + 2 * 2 * WIDTH * WIDTH  # products of one layer, by token
    attention = 2 * LENGTH * WIDTH
    assert costs[TEXT].macs_no_bmm == 2 * LENGTH * 2 * layer
    assert costs[TEXT].macs <= 2 * LENGTH * 2 * (layer + attention)
    assert needed_bytes(text) > sum(part.weights for part in costs.values())
    assert needed_bytes(text, 64) > needed_bytes(text)


@pytest.mark.slow
@pytest.mark.long
def test_the_compiler_is_asked_for_memory(text: Pipeline) -> None:
    one, many = compiled_bytes(text), compiled_bytes(text, 8)
    assert list(one) == [UNET, DECODER]
    assert 0 < one[UNET] < many[UNET] and one[DECODER] == many[DECODER] > 0


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    "plan",
    [
        Plan.from_full_steps((0, 2), 4, "decode", largest_group=2),
        Plan.from_full_steps((0, 2), 4, "shallow"),
    ],
    ids=["propagation", "inheritance"],
)
def test_reuse_keeps_full_steps_and_changes_the_rest(two: Pipeline, plan: Plan) -> None:
    """Added conditions reach reused passes too: an error there would move the first step."""
    inputs = two.inputs((0,), prompts="a cat", negative="red")
    full, planned = driver.sample(two, inputs), driver.sample(two.with_plan(plan), inputs)
    np.testing.assert_allclose(
        planned["latents"][:, 0], full["latents"][:, 0], rtol=1e-4, atol=1e-4
    )
    moved = np.abs(planned["latents"][:, -1] - full["latents"][:, -1]).max()
    assert 0 < moved < np.abs(full["latents"][:, -1]).max()


@pytest.mark.slow
@pytest.mark.long
def test_drift_is_measured_on_text_models(two: Pipeline) -> None:
    found = drift(two, two.inputs((0,), prompts="a cat"))
    assert np.isfinite(found.relative[:, 1:]).all() and (found.relative[:, 1:] > 0).any()


@pytest.mark.slow
@pytest.mark.long
def test_methods_are_compared_on_prompts(text: Pipeline) -> None:
    """Prompts take turns by seed, so a study needs nothing but the pipeline."""
    methods = [FullSampling(), EncoderPropagation(), FeatureInheritance()]
    asked = text.with_prompts(PROMPTS, negative="red")
    found = compare(methods, study(asked, steps=8, seeds=2), repeats=0)
    trials = found.tables.trials
    assert set(trials["method"]) == {method.name for method in methods}
    assert np.isfinite(trials["quality.ssim"]).all()
    cost = trials.groupby("method")["cost.macs"].max()
    assert (cost.drop(methods[0].name) < cost[methods[0].name]).all()
