"""Transformers under the shared driver, and caches against loops written out by hand."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import workbench
from workbench.diffusion import driver
from workbench.diffusion.dit.cached_sampling import sample_cached
from workbench.diffusion.dit.first_block_cache import FirstBlockCache
from workbench.diffusion.dit.taylorseer import TaylorSeer
from workbench.diffusion.drift import drift
from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.full_sampling import FullSampling
from workbench.diffusion.pipeline import SAMPLERS
from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import start
from workbench.study import Cancelled, MethodError, Probe, Study

SEEDS = (0, 1, 7)
ORDER = 2
PROPAGATION = EncoderPropagation(key_steps="custom", custom_steps=(0, 1, 5), largest_group=4)


@pytest.fixture(scope="module")
def run(small_dit):
    graph, weights = nnx.split(small_dit)

    def call(x, t, labels, given, wanted):
        return nnx.merge(graph, weights).run(x, t, labels, given=given, wanted=wanted)

    return jax.jit(call, static_argnums=4)


def by_hand(pipeline, inputs, predict):
    """The sampler's loop around `predict(i, x, t, labels)`, blank rows first."""
    schedule = pipeline.scheduler.plan(pipeline.steps)
    labels = jnp.concatenate([inputs.blank, inputs.context])
    x, trail = schedule.start_scale * inputs.noise, []
    state = start(x)
    for i in range(pipeline.steps):
        seen = schedule.scaled(i, x)
        t = jnp.float32(schedule.timesteps[i])
        output = predict(i, jnp.concatenate([seen, seen]), t, labels)[..., :2]
        blank, asked = jnp.split(output, 2)
        output = blank + pipeline.guidance * (asked - blank)
        noise = None
        if schedule.column("noise")[i]:
            draw = int(schedule.timesteps[i])
            keys = [jax.random.fold_in(key, draw) for key in inputs.keys]
            noise = jnp.stack([jax.random.normal(key, x.shape[1:]) for key in keys])
        x, state = schedule.step(i, x, output, state, noise)
        trail.append(np.asarray(x))
    return np.stack(trail, axis=1)


def agree(found, wanted, tolerance=1e-4):
    gap = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    assert gap < tolerance, gap


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_full_sampling_is_the_plain_loop(small, run, sampler) -> None:
    pipeline = small.with_sampling(sampler=sampler)
    inputs = pipeline.inputs(SEEDS)
    found = driver.sample(pipeline, inputs)
    assert found["image"].shape == (3, 8, 8, 2) and found["latents"].shape == (3, 10, 8, 8, 2)

    def predict(i, x, t, labels):
        return run(x, t, labels, {}, ("conv_out",))["conv_out"]

    agree(found["latents"], by_hand(pipeline, inputs, predict))


def test_encoder_propagation_keeps_the_first_blocks(small, run, small_dit) -> None:
    """Serial and grouped, against a loop that reuses the last encoder block's value."""
    pipeline = PROPAGATION.prepare(small)
    inputs = pipeline.inputs(SEEDS)
    (name,), kept = small_dit.encoder_outputs, {}

    def predict(i, x, t, labels):
        if i in (0, 1, 5):
            kept[name] = run(x, t, labels, {}, (name,))[name]
        return run(None, t, labels, kept, ("conv_out",))["conv_out"]

    found = PROPAGATION.apply(pipeline, inputs)["latents"]
    agree(found, by_hand(small, inputs, predict))
    serial = replace(pipeline.plan, largest_group=1)
    agree(driver.sample(pipeline.with_plan(serial), inputs)["latents"], found, 1e-5)
    full = driver.sample(small, inputs)["latents"]
    assert np.linalg.norm(found - full) > 1e-3 * np.linalg.norm(full)


def test_cost_of_propagation_is_counted(small) -> None:
    full, less = FullSampling().predict(small), PROPAGATION.predict(small)
    # 3 of 10 steps run both blocks, the others the last one.
    assert 0.55 < less.macs / full.macs < 0.75
    assert less.cache_bytes == 2 * 16 * 16 * 4


@pytest.mark.slow
def test_blocks_are_inherited_by_name(small, run) -> None:
    plan = Plan.from_full_steps(
        (0, 4), 10, "inherit", inherited=("block.0.attention", "block.1.feed_forward")
    )
    pipeline = small.with_plan(plan)
    inputs, kept = pipeline.inputs(SEEDS), {}
    names = ("block.0.attention", "block.1.feed_forward")

    def predict(i, x, t, labels):
        if i not in (0, 4):
            return run(x, t, labels, kept, ("conv_out",))["conv_out"]
        found = run(x, t, labels, {}, ("conv_out", *names))
        kept.update({name: found[name] for name in names})
        return found["conv_out"]

    agree(driver.sample(pipeline, inputs)["latents"], by_hand(small, inputs, predict))


def test_without_skips_no_step_is_shallow(small) -> None:
    problems = FeatureInheritance().check(small)
    assert any("no skip connections" in p.message for p in problems if p.level == "error")


@pytest.mark.slow
def test_drift_of_every_block(small) -> None:
    found = drift(small.with_sampling(steps=3), small.inputs((0, 1)))
    assert found.blocks == ("block.0", "block.1")
    assert (found.relative[:, 1:] > 0).all()


@pytest.mark.parametrize("threshold", [0.0, 0.6])
def test_first_block_cache_is_its_rule(small, run, threshold) -> None:
    method, memory, whole = FirstBlockCache(threshold=threshold), {}, []
    artifact = method.prepare(small)
    inputs = small.inputs(SEEDS)

    def predict(i, x, t, labels):
        found = run(x, t, labels, {}, ("patches", "block.0"))
        first, head = found["block.0"], found["block.0"] - found["patches"]
        if memory:
            change = np.abs(head - memory["head"]).mean() / np.abs(memory["head"]).mean()
        whole.append(not memory or change > threshold)
        if whole[-1]:
            value = run(None, t, labels, {"block.0": first}, ("block.1",))["block.1"]
            memory.update(head=head, tail=value - first)
        given = {"block.1": first + memory["tail"]}
        return run(None, t, labels, given, ("conv_out",))["conv_out"]

    found = method.apply(artifact, inputs)
    agree(found["latents"], by_hand(small, inputs, predict))
    assert found["computed"].tolist() == [whole] * 3
    if threshold:
        assert 1 < sum(whole) < 10
    else:
        assert all(whole)
        agree(found["latents"], driver.sample(small, inputs)["latents"], 1e-5)


@pytest.mark.parametrize("order", [ORDER, pytest.param(4, marks=pytest.mark.slow)])
def test_taylorseer_is_its_series(small, run, small_dit, order) -> None:
    """Against differences of differences kept in lists, in float64."""
    method = TaylorSeer(interval=3, order=order, exact_first=2)
    units, inputs = small_dit.unit_names(), small.inputs(SEEDS)
    steps, history = [], []
    assert method.full_steps(10) == (0, 1, 4, 7)

    def predict(i, x, t, labels):
        if i in method.full_steps(10):
            found = run(x, t, labels, {}, ("conv_out", *units))
            new = {u: [np.asarray(found[u], np.float64)] for u in units}
            for u in units:
                for k in range(min(order, len(steps))):
                    gap = i - steps[-1]
                    new[u].append((new[u][k] - history[-1][u][k]) / gap)
            steps.append(i)
            history.append(new)
            return found["conv_out"]
        ahead = i - steps[-1]
        given = {
            u: jnp.asarray(
                sum(d * ahead**k / math.factorial(k) for k, d in enumerate(history[-1][u])),
                jnp.float32,
            )
            for u in units
        }
        return run(x, t, labels, given, ("conv_out",))["conv_out"]

    found = method.apply(method.prepare(small), inputs)
    agree(found["latents"], by_hand(small, inputs, predict))
    assert found["computed"][0].tolist() == [i in (0, 1, 4, 7) for i in range(10)]


@pytest.mark.slow
def test_series_of_order_zero_holds_values_still(small, small_dit) -> None:
    plan = Plan.from_full_steps((0, 1, 4, 7), 10, "inherit", inherited=small_dit.unit_names())
    inputs = small.inputs(SEEDS)
    method = TaylorSeer(interval=3, order=0, exact_first=2)
    found = method.apply(method.prepare(small), inputs)["latents"]
    agree(found, driver.sample(small.with_plan(plan), inputs)["latents"], 1e-5)


def test_series_of_every_step_is_full_sampling(small) -> None:
    method = TaylorSeer(interval=1, order=ORDER)
    assert [p.level for p in method.check(small)] == ["warn"]
    inputs = small.inputs(SEEDS)
    found = method.apply(method.prepare(small), inputs)["latents"]
    agree(found, driver.sample(small, inputs)["latents"], 1e-5)


def test_forecast_steps_cost_next_to_nothing(small) -> None:
    full, method = FullSampling().predict(small), TaylorSeer(interval=3, order=1, exact_first=2)
    share = method.predict(small).macs / full.macs
    assert 0.4 < share < 0.6  # 4 of 10 steps, and the modulation of the others
    assert method.predict(small).cache_bytes == 2 * 2 * 4 * 16 * 16 * 4
    assert FirstBlockCache().predict(small).cache_bytes == 2 * 2 * 16 * 16 * 4
    assert FirstBlockCache().predict(small).macs is None


def test_moving_a_slider_compiles_nothing(small) -> None:
    from workbench.diffusion.dit.first_block_steps import _first_block_step
    from workbench.diffusion.dit.taylor_steps import _taylor_steps

    inputs = small.inputs(SEEDS)
    steps = [_first_block_step(small.config, small.precision)]
    steps += _taylor_steps(small.config, small.precision)
    sizes = []
    for threshold, interval in ((0.1, 3), (0.5, 5)):
        for method in (
            FirstBlockCache(threshold=threshold),
            TaylorSeer(interval=interval, order=ORDER),
        ):
            method.apply(method.prepare(small), inputs)
        sizes.append([step._cache_size() for step in steps])
    assert sizes[0] == sizes[1]


def test_caches_want_a_transformer(small) -> None:
    class Other:
        name = "digits"

    for method in (FirstBlockCache(), TaylorSeer()):
        with pytest.raises(MethodError, match="needs a diffusion transformer; digits is none"):
            method.prepare(Other())
        planned = small.with_plan(Plan.from_full_steps((0,), 10, "decode"))
        with pytest.raises(MethodError, match="do not stack"):
            method.prepare(planned)


def test_a_stop_is_heard_between_steps(small) -> None:
    def report(done, total, note="", preview=None):
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        sample_cached(FirstBlockCache().prepare(small), small.inputs(SEEDS), report)


def test_rivals_stand_in_one_comparison(small) -> None:
    """With encoder propagation and the baseline, in the tables every method shares."""

    def error(outcome):
        gap = outcome.outputs["image"] - outcome.reference["image"]
        return np.sqrt((gap**2).mean(axis=(1, 2, 3)))

    study = Study(
        name="transformer",
        subject=small,
        inputs=small.inputs,
        seeds=SEEDS,
        probes=(Probe("error", error, "", "lower"),),
        batch=3,
    )
    methods = [
        FullSampling(),
        PROPAGATION,
        FirstBlockCache(threshold=0.6),
        TaylorSeer(order=ORDER),
    ]
    found = workbench.compare(methods, study, repeats=0)
    rows = found.tables.trials
    assert sorted(set(rows["method"])) == sorted(method.name for method in methods)
    by_method = rows.groupby("method")["quality.error"].mean()
    assert by_method["Full sampling"] == 0
    assert (by_method.drop("Full sampling") > 0).all()
