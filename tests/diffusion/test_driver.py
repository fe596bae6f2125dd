"""The driver against a sampling loop written out by hand, and what it compiles."""

import logging
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workbench.diffusion import driver
from workbench.diffusion.pipeline import SAMPLERS
from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import Row
from workbench.diffusion.steps import AHEAD
from workbench.products import EIGEN
from workbench.study import Cancelled

SEEDS = (0, 1, 7)
ENCODER = Plan.from_full_steps((0, 1, 4), 10, "decode", largest_group=8)


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """Programs of this file are many and small; what they compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def by_hand(pipeline, inputs, parts, found):
    """One step at a time, one pass at a time, updates in float64.

    Each step starts from what `found` [B, S, ...] has before it, so that nothing piles up.
    """
    schedule = pipeline.scheduler.plan(pipeline.steps)
    noise = np.asarray(inputs.noise, np.float64)
    past, anchor, trail = [0.0, 0.0, 0.0], 0.0, []
    kept: dict = {}
    guidance = pipeline.guidance
    contexts = {"asked": inputs.context} | ({"blank": inputs.blank} if guidance != 1 else {})
    for i, action in enumerate(pipeline.plan.actions):
        x = found[:, i - 1].astype(np.float64) if i else schedule.start_scale * noise
        t, k = float(schedule.timesteps[i]), Row(*np.asarray(schedule.table[i], np.float64))
        now, passed = jnp.asarray(k.input_scale * x, jnp.float32), {}
        for name, context in contexts.items():
            time = jnp.float32(t)
            if {"inherit"} <= set(pipeline.plan.actions):
                whole, kept[name] = inherited(
                    pipeline, parts, now, time, context, action, kept[name] if i else {}
                )
            elif action == "decode":
                whole = parts.decode(*kept[name], time, context)
            elif action == "shallow":
                whole = parts.shallow(now, time, context, kept[name], pipeline.plan.branch)
            elif "shallow" in pipeline.plan.actions:
                whole, kept[name] = parts.full(now, time, context, pipeline.plan.branch)
            else:
                whole, kept[name] = parts.call(now, time, context), None
                if "decode" in pipeline.plan.actions:
                    kept[name] = parts.encode(now, time, context)
            passed[name] = np.asarray(whole, np.float64)
        output = passed["asked"]
        if guidance != 1:
            output = passed["blank"] + guidance * (passed["asked"] - passed["blank"])
        if t / 1000 < 0.5:
            x = x + pipeline.plan.injection * noise / k.input_scale
        x0 = np.clip(k.x0_x * x + k.x0_output * output, -k.clip, k.clip)
        eps = k.eps_x * x + k.eps_output * output
        kept_now, before = k.kept_x * x + k.kept_output * output, x
        x = k.x * x + k.x0 * x0 + k.eps * eps + k.anchor * anchor
        x = x + k.past_1 * past[0] + k.past_2 * past[1] + k.past_3 * past[2]
        if k.noise:
            keys = [jax.random.fold_in(key, int(t)) for key in inputs.keys]
            x = x + k.noise * np.stack([jax.random.normal(key, x.shape[1:]) for key in keys])
        if k.push:
            past = [kept_now, *past[:2]]
        if k.hold:
            anchor = before
        trail.append(x)
    return np.stack(trail, axis=1)


def inherited(pipeline, parts, x, t, context, action, kept):
    """One pass of a plan that inherits, and what is kept after it."""
    skips = ("conv_in", "down.0.layer.0", "down.0.downsample", "down.1.layer.0")
    names = {
        "decode": (*skips, "mid"),
        "shallow": ("up.1.layer.0",),
        "inherit": pipeline.plan.inherited,
    }
    if action == "full":
        used = dict.fromkeys(
            n for kind in names for n in names[kind] if kind in pipeline.plan.actions
        )
        found = parts.keeping(x, t, context, tuple(used))
        return found.pop("conv_out"), found
    return parts.given(x, t, context, {n: kept[n] for n in names[action]}), kept


BY_HAND = 5e-6
"""A float32 update against a float64 one: the first divides by sqrt(alpha bar) = 0.016."""


def agree(found, wanted, tolerance=1e-5):
    gap = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    assert gap < tolerance, gap


def run(pipeline, plan=None, seeds=SEEDS):
    pipeline = pipeline if plan is None else pipeline.with_plan(plan)
    return driver.sample(pipeline, pipeline.inputs(seeds))["latents"]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_full_sampling_is_the_plain_loop(tiny, parts, sampler):
    pipeline = tiny.with_sampling(sampler=sampler)
    inputs = pipeline.inputs(SEEDS)
    found = driver.sample(pipeline, inputs)["latents"]
    agree(found, by_hand(pipeline, inputs, parts, found), BY_HAND)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_encoder_propagation_is_the_plain_loop(tiny, parts, sampler):
    pipeline = tiny.with_sampling(sampler=sampler).with_plan(ENCODER)
    inputs = pipeline.inputs(SEEDS)
    found = driver.sample(pipeline, inputs)["latents"]
    agree(found, by_hand(pipeline, inputs, parts, found), BY_HAND)


@pytest.mark.parametrize("branch", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_feature_inheritance_is_the_plain_loop(tiny, parts, branch, sampler):
    plan = Plan.from_full_steps((0, 3, 4), 10, "shallow", branch=branch)
    pipeline = tiny.with_sampling(sampler=sampler).with_plan(plan)
    inputs = pipeline.inputs(SEEDS)
    found = driver.sample(pipeline, inputs)["latents"]
    agree(found, by_hand(pipeline, inputs, parts, found), BY_HAND)


UNIT = "down.1.layer.0.transformer.0.self_attention"


@pytest.mark.parametrize(
    ("actions", "names"),
    [
        pytest.param("fiifiiifii", ("down.1", "mid"), marks=pytest.mark.slow),
        ("fiifiiifii", (UNIT, "up.1.layer.0.resnet", "up.0")),
        pytest.param("fsiffdidsi", ("up.0",), marks=pytest.mark.slow),
        pytest.param("fddsifddff", ("mid",), marks=pytest.mark.slow),
    ],
)
def test_inheritance_is_the_plain_loop(tiny, parts, actions, names):
    """Each kind of reuse takes from the last full step what the loop kept of it."""
    words = {"f": "full", "i": "inherit", "s": "shallow", "d": "decode"}
    plan = Plan(tuple(words[a] for a in actions), inherited=names, largest_group=4)
    pipeline = tiny.with_plan(plan)
    inputs = pipeline.inputs(SEEDS)
    found = driver.sample(pipeline, inputs)["latents"]
    agree(found, by_hand(pipeline, inputs, parts, found), BY_HAND)


@pytest.mark.slow
def test_a_block_is_its_last_layer(tiny):
    block = Plan.from_full_steps((0, 4), 10, "inherit", inherited=("up.0",))
    layer = replace(block, inherited=("up.0.upsample",))
    assert np.array_equal(run(tiny, block), run(tiny, layer))
    branch = Plan.from_full_steps((0, 4), 10, "shallow", branch=1)
    assert np.array_equal(run(tiny, block), run(tiny, branch))


def test_a_name_the_model_lacks_is_said_before_anything_runs(tiny):
    plan = Plan.from_full_steps((0,), 10, "inherit", inherited=("up.9",))
    with pytest.raises(ValueError, match="nothing called 'up.9' to inherit"):
        run(tiny, plan)


@pytest.mark.parametrize(
    "plan", [None, pytest.param(ENCODER, marks=pytest.mark.slow)], ids=["full", "encoder"]
)
def test_projecting_the_text_once_changes_nothing(tiny, plan):
    assert tiny.reuse_text
    agree(run(tiny.with_text_reuse(False), plan), run(tiny, plan), 1e-6)


@pytest.mark.slow
def test_without_guidance_there_is_one_pass(unguided, parts):
    pipeline = unguided.with_plan(Plan.from_full_steps((0, 2), 10, "decode", largest_group=4))
    inputs = pipeline.inputs(SEEDS)
    found = driver.sample(pipeline, inputs)["latents"]
    agree(found, by_hand(pipeline, inputs, parts, found), BY_HAND)


@pytest.mark.slow
def test_injection_adds_the_first_noise_in_the_late_half_only(tiny, parts):
    plan = replace(ENCODER, injection=0.003)
    pipeline = tiny.with_plan(plan)
    inputs = pipeline.inputs(SEEDS)
    found = driver.sample(pipeline, inputs)["latents"]
    agree(found, by_hand(pipeline, inputs, parts, found), BY_HAND)
    plain = run(tiny, ENCODER)
    late = tiny.scheduler.plan(10).timesteps < 500
    same = [np.array_equal(found[:, i], plain[:, i]) for i in range(10)]
    assert same == [not value for value in late]


@pytest.mark.parametrize(
    ("sampler", "guided"),
    [(name, True) for name in SAMPLERS]
    + [pytest.param(name, False, marks=pytest.mark.slow) for name in SAMPLERS],
)
def test_grouped_is_serial(tiny, sampler, guided):
    """Decode steps never see the sample, so a batch of them is exact (Faster Diffusion §3.3)."""
    pipeline = tiny.with_sampling(sampler=sampler, guidance=2.5 if guided else 1.0)
    plan = replace(Plan.from_full_steps((0, 2), 10, "decode"), injection=0.003)
    serial = run(pipeline, plan)
    for largest in (2, 4, 8):
        agree(run(pipeline, replace(plan, largest_group=largest)), serial)


@pytest.mark.parametrize("reuse", ["decode", "shallow", "inherit"])
def test_nothing_reused_is_full_sampling(tiny, reuse):
    plan = Plan.from_full_steps(range(10), 10, reuse, inherited=("mid",))
    assert np.array_equal(run(tiny, plan), run(tiny))


def test_reuse_changes_the_picture(tiny):
    """Else the agreements above would hold for a driver that ignores plans."""
    full = run(tiny)
    for plan in (ENCODER, Plan.from_full_steps((0, 5), 10, "shallow")):
        assert np.linalg.norm(run(tiny, plan) - full) > 1e-3 * np.linalg.norm(full)


def test_shapes_and_range(tiny):
    found = driver.sample(tiny, tiny.inputs(SEEDS))
    assert found["latents"].shape == (3, 10, 8, 8, 1)
    assert found["image"].shape == (3, 8, 8, 1)
    assert found["image"].min() >= 0 and found["image"].max() <= 1
    wanted = np.clip((found["latents"][:, -1] + 1) / 2, 0, 1)
    assert np.array_equal(found["image"], wanted)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_seed_makes_its_picture_in_any_company(tiny, sampler):
    pipeline = tiny.with_sampling(sampler=sampler)
    together = run(pipeline, seeds=(0, 1, 7))
    again = run(pipeline, seeds=(0, 1, 7))
    assert np.array_equal(together, again)
    agree(run(pipeline, seeds=(7, 3, 1))[[0, 2]], together[[2, 1]])
    assert not np.allclose(together[0], together[1])


def test_stop_between_two_pieces_leaves_the_driver_usable(tiny):
    wanted, calls = run(tiny, ENCODER), []

    def report(done, total, note="", preview=None):
        calls.append((done, total, note))
        if len(calls) == 3:
            raise Cancelled

    pipeline = tiny.with_plan(ENCODER)
    with pytest.raises(Cancelled):
        driver.sample(pipeline, pipeline.inputs(SEEDS), report)
    assert len(calls) == 3
    assert np.array_equal(run(tiny, ENCODER), wanted)


@pytest.mark.parametrize("plan", [None, ENCODER], ids=["full", "encoder"])
def test_progress_is_never_far_ahead_of_the_device(tiny, plan, monkeypatch):
    """What a report says is done has been waited for, but for the last pieces handed over."""
    pipeline = tiny if plan is None else tiny.with_plan(plan)
    finished, ahead, real = [], [], jax.block_until_ready

    def waits(made):
        finished.append(np.asarray(real(made)))
        return made

    def report(done, total, note="", preview=None):
        handed_over = sum(run[0] < done for run in pipeline.plan.batches)
        ahead.append(handed_over - len(finished))

    monkeypatch.setattr(jax, "block_until_ready", waits)
    latents = driver.sample(pipeline, pipeline.inputs(SEEDS), report)["latents"]
    assert len(ahead) == len(pipeline.plan.batches) + 1 > AHEAD + 2
    assert max(ahead[:-1]) == AHEAD
    # Each is waited for once, and in order.
    steps = np.concatenate(finished)
    np.testing.assert_array_equal(steps, np.moveaxis(latents, 1, 0)[: len(steps)])


def test_progress_rises_to_its_end(tiny):
    calls = []
    pipeline = tiny.with_plan(ENCODER)
    driver.sample(pipeline, pipeline.inputs(SEEDS), lambda *given: calls.append(given))
    done = [call[0] for call in calls]
    assert done == sorted(set(done)) and done[0] == 0 and done[-1] == 10
    assert {call[1] for call in calls} == {10}


def sizes(pipeline):
    work = driver.programs(pipeline.config)
    names = ("encode", "decode", "full", "reuse")
    return {name: getattr(work, name)._cache_size() for name in names}


def test_moving_a_slider_compiles_nothing(tiny, caplog):
    """Key steps, step count, guidance, injection and sampler are data."""
    fifteen = tiny.with_sampling(steps=15)
    run(fifteen)
    run(fifteen, Plan.from_full_steps((0,), 15, "decode", largest_group=8))  # runs of 8, 4, 2, 1
    run(fifteen, Plan.from_full_steps((0, 5), 15, "shallow"))
    before = sizes(tiny)
    assert before["decode"] >= 4
    moved = [
        (tiny, Plan.from_full_steps((0, 1, 9), 10, "decode", largest_group=8)),
        (tiny, Plan.from_full_steps((0, 3), 12, "decode", largest_group=4)),
        (tiny, Plan.from_full_steps((0, 2), 7, "decode", largest_group=8, injection=0.01)),
        (tiny, Plan.from_full_steps((0, 2, 3), 11, "shallow")),
        (tiny.with_sampling(guidance=3.5), ENCODER),
        *((tiny.with_sampling(sampler=sampler), ENCODER) for sampler in SAMPLERS),
        (replace(tiny, scheduler=tiny.scheduler.model_copy(update={"steps_offset": 0})), ENCODER),
        (tiny, Plan.full(23)),
    ]
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        for pipeline, plan in moved:
            run(pipeline, plan)
    assert sizes(tiny) == before
    compiled = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Compiling")]
    assert compiled == []


@pytest.mark.slow
def test_the_encoder_compiles_once_for_all_group_sizes(tiny):
    alone = replace(tiny, config=tiny.config.model_copy(update={"norm_eps": 2e-5}))
    run(alone, Plan.from_full_steps((0,), 15, "decode", largest_group=8), seeds=(0, 1))
    assert sizes(alone) == {"encode": 1, "decode": 4, "full": 0, "reuse": 0}


@pytest.mark.parametrize(("compute", "options"), [("float32", EIGEN), ("bfloat16", None)])
def test_products_of_float32_alone_are_eigens(tiny, monkeypatch, compute, options):
    asked = []

    def jit(function, *, compiler_options, **_):
        asked.append(compiler_options)

    monkeypatch.setattr(driver.lowered_once, "jit", jit)
    driver.Programs(tiny.config, replace(tiny.precision, compute=jnp.dtype(compute)))
    assert asked == [options] * 5
