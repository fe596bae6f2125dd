"""Losses against their formulas; what moves what; teachers that cannot be learnt from."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.datasets import digits
from workbench.diffusion.costs import abstract_unet
from workbench.diffusion.digits.recipe import SCHEDULER
from workbench.diffusion.dit import DiTConfig
from workbench.diffusion.schedulers import DDIM
from workbench.diffusion.students.distillation import (
    PICTURES,
    divergences,
    fake_score,
    guided,
    predicted_noise,
    score_distillation,
    summed,
)
from workbench.diffusion.students.learning import OnePassTask
from workbench.diffusion.students.low_rank import PAPERS_LAYERS, LowRank, named
from workbench.diffusion.students.rivals import ConsistencyTask, consistency_scheduler
from workbench.diffusion.students.teacher import Teacher
from workbench.model_files.precision import precision
from workbench.training import Recipe

DRAW = np.random.default_rng(0)
VELOCITY = SCHEDULER
NOISE = DDIM(clip_sample=False)


def normal(*shape: int):
    return jnp.asarray(DRAW.normal(size=shape), jnp.float32)


def test_score_distillation_pushes_a_picture_by_the_weighted_difference() -> None:
    z0, real, fake = (normal(3, 4, 4, 1) for _ in range(3))
    abar = jnp.asarray([0.1, 0.5, 0.9])
    found = jax.grad(score_distillation)(z0, real, fake, abar)
    wanted = (1 - np.asarray(abar))[:, None, None, None] * (np.asarray(real) - np.asarray(fake))
    np.testing.assert_allclose(found, wanted / z0.size, rtol=1e-4, atol=1e-8)


def test_divergence_is_that_of_a_normal_from_the_standard_one() -> None:
    noises = normal(2, 3, 8, 8, 1) * 1.5 + 0.25
    values = np.asarray(noises, np.float64).reshape(2, 3, -1)
    mean, variance = values.mean(-1), values.var(-1)
    # By quadrature of p log(p / q), the definition.
    x = np.linspace(-14, 14, 20001)[:, None, None]
    p = np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    log_q = -(x**2) / 2 - 0.5 * np.log(2 * np.pi)
    wanted = np.trapezoid(p * (np.log(np.maximum(p, 1e-300)) - log_q), x, axis=0)
    found = divergences(noises)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    np.testing.assert_allclose(summed(found), PICTURES * wanted.mean(1).sum(), rtol=1e-4)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_a_right_answer_of_any_kind_is_the_noise(kind: str) -> None:
    scheduler = VELOCITY.model_copy(update={"prediction_type": kind})
    x0, noise, t = normal(3, 4, 4, 1), normal(3, 4, 4, 1), jnp.asarray([10, 400, 990])
    x = scheduler.add_noise(x0, noise, t)
    found = predicted_noise(scheduler, x, scheduler.target(x0, noise, t), t)
    np.testing.assert_allclose(found, noise, atol=1e-5)


def test_the_fake_score_of_one_picture_is_learnt_by_its_own_noise_alone() -> None:
    z0, context, blank = normal(200, 4, 4, 1), normal(200, 3, 8), normal(3, 8)
    seen = []

    def knows(x, t, context):
        seen.append(context)
        signal, sigma = (
            jnp.asarray(np.sqrt(a), jnp.float32)[t] for a in (NOISE.abar, 1 - NOISE.abar)
        )
        return (x - signal[:, None, None, None] * z0) / sigma[:, None, None, None]

    key = jax.random.key(0)
    assert float(fake_score(NOISE, knows, z0, context, blank, key)) == pytest.approx(0, abs=1e-6)
    share = np.mean([np.array_equal(row, blank) for row in np.asarray(seen[0])])
    assert 0.04 < share < 0.18
    ignorant = fake_score(NOISE, lambda x, t, c: 0 * x, z0, context, blank, key)
    # The mean of ᾱ over even timesteps, for noise of variance one.
    assert float(ignorant) == pytest.approx(NOISE.abar.mean(), rel=0.2)
    moved = jax.grad(lambda z: fake_score(NOISE, lambda x, t, c: x, z, context, blank, key))(z0)
    assert not np.any(moved)


def test_guidance_moves_away_from_no_class() -> None:
    context, blank = normal(2, 3, 8), normal(3, 8)

    def says(x, t, context):
        return x + context.mean((1, 2))[:, None, None, None]

    x, t = normal(2, 4, 4, 1), jnp.asarray([3, 5])
    found = guided(says, x, t, context, blank, 1.5)
    free, asked = says(x, t, jnp.broadcast_to(blank, context.shape)), says(x, t, context)
    np.testing.assert_allclose(found, free + 1.5 * (asked - free), atol=1e-6)


def test_low_rank_moves_queries_and_values_alone(tiny_unet) -> None:
    _, weights = nnx.split(tiny_unet)
    adapter = LowRank(rank=2, alpha=3.0, layers=PAPERS_LAYERS)
    trained = adapter.init(weights, jax.random.key(0))
    assert {name.split(".")[-2] for name in trained} == {"to_q", "to_v"}
    first = adapter.moved(weights, trained)
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), weights, first)
    assert all(jax.tree.leaves(same))
    name = next(iter(trained))
    a, b = trained[name][0], normal(*trained[name][1].shape)
    moved = adapter.moved(weights, {**trained, name: (a, b)})
    changed = [
        np.asarray(new - old)
        for old, new in zip(jax.tree.leaves(weights), jax.tree.leaves(moved), strict=True)
        if not np.array_equal(old, new)
    ]
    assert len(changed) == 1
    np.testing.assert_allclose(changed[0], 1.5 * np.asarray(a) @ np.asarray(b), atol=1e-5)
    every = replace(adapter, layers=())
    shapes = jax.eval_shape(lambda: every.init(weights, jax.random.key(0)))
    kernels = [n for n, _ in named(weights) if n.endswith("kernel")]
    assert set(shapes) == set(kernels)
    (a, b), outputs = shapes["conv_in.kernel"], tiny_unet.config.block_out_channels[0]
    assert (a.shape, b.shape) == ((9, 2), (2, outputs))
    with pytest.raises(ValueError, match="none of the layers to_x"):
        LowRank(layers=("to_x",)).init(weights, jax.random.key(0))


def test_teachers_of_another_form_are_one_line(tiny) -> None:
    wide = tiny.config.model_copy(update={"out_channels": 2})
    cases = {
        "predicts 2 channels of samples with 1; needed as many": replace(tiny, config=wide),
        "is a DiT; needed a UNet": replace(tiny, config=DiTConfig.model_construct()),
        "is conditioned by text; needed class tokens": replace(tiny, conditioning=None),
        "is stored as int8; needed float32": replace(tiny, precision=precision("int8")),
    }
    for said, pipeline in cases.items():
        with pytest.raises(ValueError, match=f"^teacher tiny {said}$"):
            Teacher(pipeline)


def test_tasks_refuse_what_they_cannot_train(tiny) -> None:
    teacher, recipe = Teacher(replace(tiny, scheduler=NOISE)), Recipe(steps=1, batch_size=2)
    with pytest.raises(ValueError, match="passes=0"):
        OnePassTask(teacher, 0, 0.1, recipe)
    with pytest.raises(ValueError, match="divergence=-1: the weight must be at least 0"):
        OnePassTask(teacher, 2, -1, recipe)
    clipping = Teacher(tiny)
    with pytest.raises(ValueError, match="scheduler DDIM clips"):
        OnePassTask(clipping, 2, 0.1, recipe)
    with pytest.raises(ValueError, match="timestep_spacing='trailing'"):
        _ = ConsistencyTask(teacher, digits(8), recipe)._steps


def test_consistency_begins_and_ends_where_its_sampler_does(tiny) -> None:
    teacher = Teacher(replace(tiny, scheduler=VELOCITY))
    task = ConsistencyTask(teacher, digits(8), Recipe(steps=1))
    timesteps, ddim, f = task._steps
    assert timesteps.tolist() == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]
    schedule = consistency_scheduler(teacher).plan(10)
    x, output = 0.7, -0.3
    last = schedule.column("x")[-1] * x + schedule.column("x0")[-1] * (
        schedule.column("x0_x")[-1] * x + schedule.column("x0_output")[-1] * output
    )
    assert f[-1] @ (x, output) == pytest.approx(last, rel=1e-5)
    # DDIM's last step lands on the picture it predicts.
    seen = VELOCITY.plan(10)
    clean = seen.column("x0_x")[-1] * x + seen.column("x0_output")[-1] * output
    assert ddim[-1] @ (x, output) == pytest.approx(clean, rel=1e-5)


def test_at_first_the_two_scores_agree_and_only_the_fake_one_learns(tiny) -> None:
    """Shapes and dependence alone: nothing is compiled."""
    teacher = Teacher(replace(tiny, scheduler=VELOCITY))
    task = OnePassTask(teacher, 2, 0.1, Recipe(steps=2, batch_size=2))
    params = jax.eval_shape(task.init, jax.random.key(0))
    assert jax.tree.structure(params["student"]) == jax.tree.structure(
        nnx.split(abstract_unet(tiny.config))[1]
    )
    other = OnePassTask(teacher, 2, 1.0, Recipe(steps=2, batch_size=2))
    assert task.fingerprint != other.fingerprint
    first, second = task.batch(3), task.batch(3)
    np.testing.assert_array_equal(first["labels"], second["labels"])
    assert set(first["labels"]) <= set(range(10))
