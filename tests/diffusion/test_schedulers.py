"""Samplers against closed forms and published values; no torch."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.diffusion.schedulers import (
    DDIM,
    DDPM,
    DPMSolverPlusPlus,
    Row,
    from_fields,
    load_scheduler,
    save_scheduler,
    start,
    step,
)

STABLE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SD_DDIM = DDIM(**STABLE, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
SAMPLERS = [
    SD_DDIM,
    DDPM(**STABLE, clip_sample=False),
    DPMSolverPlusPlus(**STABLE),
]


def test_signal_shares_of_stable_diffusion() -> None:
    wanted = {1: 0.998296, 251: 0.672151, 501: 0.274999, 751: 0.055719, 999: 0.004660}
    for t, share in wanted.items():
        assert SD_DDIM.abar[t] == pytest.approx(share, abs=1e-6)
    assert SD_DDIM.abar[0] == pytest.approx(0.99915, abs=1e-6)


def test_timesteps_by_spacing() -> None:
    assert SD_DDIM.plan(50).timesteps.tolist() == list(range(981, 0, -20))
    assert SD_DDIM.plan(4).timesteps.tolist() == [751, 501, 251, 1]
    trailing = DDIM(timestep_spacing="trailing")
    assert trailing.plan(4).timesteps.tolist() == [999, 749, 499, 249]
    linspace = DDIM(timestep_spacing="linspace")
    assert linspace.plan(5).timesteps.tolist() == [999, 749, 500, 250, 0]
    solver = DPMSolverPlusPlus()
    assert solver.plan(4).timesteps.tolist() == [999, 749, 500, 250]


@pytest.mark.parametrize("scheduler", SAMPLERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_model_that_knows_the_image_is_taken_to_it(scheduler, prediction) -> None:
    """With the true answer at every step, every deterministic sampler ends at that image."""
    scheduler = scheduler.model_copy(update={"prediction_type": prediction})
    if isinstance(scheduler, DDIM):
        scheduler = scheduler.model_copy(update={"set_alpha_to_one": True})
    plan = scheduler.plan(12)
    image, noise = (jax.random.normal(jax.random.key(i), (2, 3, 3, 1)) for i in range(2))
    x = scheduler.add_noise(image, noise, jnp.full((2,), plan.timesteps[0]))
    state = start(x)
    for i, t in enumerate(plan.timesteps.tolist()):
        signal, sigma = np.sqrt(scheduler.abar[t]), np.sqrt(1 - scheduler.abar[t])
        eps = (x - signal * image) / sigma
        answer = scheduler.target(image, eps, jnp.full((2,), t))
        x, state = plan.step(i, x, answer, state, jnp.zeros_like(x))
        np.testing.assert_allclose(state, image, rtol=0, atol=2e-4)
    np.testing.assert_allclose(x, image, rtol=0, atol=2e-4)


@settings(max_examples=40, deadline=None)
@given(
    t=st.integers(0, 999),
    prediction=st.sampled_from(["epsilon", "v_prediction", "sample"]),
    schedule=st.sampled_from(["linear", "scaled_linear"]),
)
def test_predictions_undo_the_noising(t: int, prediction: str, schedule: str) -> None:
    scheduler = DDPM(beta_schedule=schedule, prediction_type=prediction)
    rng = np.random.default_rng(t)
    image, noise = (jnp.asarray(rng.standard_normal((1, 4, 4, 2)), jnp.float32) for _ in range(2))
    when = jnp.asarray([t])
    x = scheduler.add_noise(image, noise, when)
    answer = scheduler.target(image, noise, when)
    atol = 1e-5 / np.sqrt(scheduler.abar[t] * (1 - scheduler.abar[t]))
    k = scheduler._predictions(float(scheduler.abar[t]))
    np.testing.assert_allclose(k["x0_x"] * x + k["x0_output"] * answer, image, atol=atol)
    np.testing.assert_allclose(k["eps_x"] * x + k["eps_output"] * answer, noise, atol=atol)


def test_ddim_with_eta_one_is_ddpm_where_strides_agree() -> None:
    """Song et al. 2021, section 4.1: same mean and same variance."""
    ddim, ddpm = (made(clip_sample=False, num_train_timesteps=100) for made in (DDIM, DDPM))
    x, out, noise = (jax.random.normal(jax.random.key(i), (1, 4)) for i in range(3))
    one, other = ddim.plan(100, eta=1.0), ddpm.plan(100)
    for i in (0, 50, 98):
        a, _ = one.step(i, x, out, start(x), noise)
        b, _ = other.step(i, x, out, start(x), noise)
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


def test_another_plan_is_the_same_program() -> None:
    traced = []

    @jax.jit
    def move(row, x, state):
        traced.append(1)
        return step(row, x, jnp.sin(x), state, jnp.ones_like(x))

    x = jnp.ones((2, 3))
    for scheduler in SAMPLERS:
        for n_steps in (3, 10):
            for row in scheduler.plan(n_steps).table:
                x, state = move(row, x, start(x))
    for row in SD_DDIM.plan(20, eta=0.7).table:
        x, state = move(row, x, state)
    assert len(traced) == 1


def test_a_plan_goes_through_scan() -> None:
    plan = SD_DDIM.plan(7)
    x = jax.random.normal(jax.random.key(0), (2, 3))

    @jax.jit
    def scanned(plan, x):
        def body(carry, i):
            x, state = carry
            return plan.step(i, x, jnp.sin(x), state), None

        return jax.lax.scan(body, (x, start(x)), jnp.arange(len(plan)))[0][0]

    y, state = x, start(x)
    for i in range(7):
        y, state = plan.step(i, y, jnp.sin(y), state)
    np.testing.assert_allclose(scanned(plan, x), y, rtol=0, atol=1e-5)


def test_clipping_holds_the_prediction() -> None:
    plan = DDIM(**STABLE, clip_sample_range=0.5).plan(4)
    x = jnp.full((1, 2), 3.0)
    _, x0 = plan.step(0, x, -x, start(x))
    np.testing.assert_array_equal(x0, [[0.5, 0.5]])
    assert np.isinf(SD_DDIM.plan(4).table[:, Row._fields.index("clip")]).all()


def test_noise_is_asked_for_where_it_is_used() -> None:
    assert not SD_DDIM.plan(5).needs_noise
    assert SD_DDIM.plan(5, eta=0.5).needs_noise
    assert DDPM().plan(5).needs_noise
    assert not DPMSolverPlusPlus().plan(5).needs_noise


def test_first_and_last_solver_step_are_of_first_order() -> None:
    for n_steps in (5, 20):
        previous = DPMSolverPlusPlus(**STABLE).plan(n_steps).table[:, Row._fields.index("previous")]
        assert previous[0] == previous[-1] == 0
        assert (previous[1:-1] != 0).all()


@pytest.mark.parametrize("scheduler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_file_and_back(scheduler, tmp_path: Path) -> None:
    save_scheduler(scheduler, tmp_path)
    assert load_scheduler(tmp_path) == scheduler


def test_cosine_schedule_ends() -> None:
    abar = DDPM(beta_schedule="squaredcos_cap_v2").abar
    assert abar[0] == pytest.approx(0.99996, abs=1e-5)
    assert 0 < abar[-1] < 1e-6
    assert (np.diff(abar) < 0).all()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"_class_name": "PNDMScheduler"}, "PNDMScheduler is not supported.*nearest is DDIM"),
        ({"_class_name": "DDIMSchedular"}, "nearest is DDIMScheduler"),
        ({}, "no _class_name"),
        ({"_class_name": "DDIMScheduler", "thresholding": True}, "thresholding=True"),
        ({"_class_name": "DDIMScheduler", "beta_begin": 1}, "beta_begin=1 is not known"),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"},
            "algorithm_type='sde-dpmsolver\\+\\+' is not supported",
        ),
        ({"_class_name": "DDIMScheduler", "beta_schedule": "laplace"}, "beta_schedule"),
        ({"_class_name": "DDPMScheduler", "trained_betas": [0.1]}, "trained_betas has 1 entries"),
    ],
)
def test_fields_refused(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_fields(fields)


def test_a_foreign_file_read_as_another_kind(tmp_path: Path) -> None:
    fields = {"_class_name": "PNDMScheduler", "skip_prk_steps": True, "steps_offset": 1, **STABLE}
    (tmp_path / "scheduler_config.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="scheduler_config.json: scheduler PNDMScheduler"):
        load_scheduler(tmp_path)
    read = load_scheduler(tmp_path, kind="DDIMScheduler")
    assert read == DDIM(**STABLE, steps_offset=1)


def test_step_counts_refused() -> None:
    for n_steps in (0, 1001):
        with pytest.raises(ValueError, match=f"n_steps={n_steps}"):
            SD_DDIM.plan(n_steps)
    with pytest.raises(ValueError, match="outside 0 to 999"):
        SD_DDIM.plan(1000)
    with pytest.raises(ValueError, match="timestep twice"):
        DPMSolverPlusPlus().plan(1000)
    with pytest.raises(ValueError, match="eta=2"):
        SD_DDIM.plan(5, eta=2)


def test_a_bad_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"scheduler_config\.json: cannot be read"):
        load_scheduler(tmp_path)
    (tmp_path / "scheduler_config.json").write_text("[]")
    with pytest.raises(ValueError, match="holds list"):
        load_scheduler(tmp_path)
