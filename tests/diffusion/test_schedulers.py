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
    LCM,
    PNDM,
    DPMSolverPlusPlus,
    Euler,
    EulerAncestral,
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
    DPMSolverPlusPlus(**STABLE, solver_order=3, use_karras_sigmas=True),
    DPMSolverPlusPlus(**STABLE, algorithm_type="sde-dpmsolver++"),
    PNDM(**STABLE, set_alpha_to_one=True, steps_offset=1),
    Euler(**STABLE),
    Euler(**STABLE, timestep_spacing="leading", use_karras_sigmas=True),
    EulerAncestral(**STABLE),
    LCM(),
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


def _predictions(scheduler) -> tuple[str, ...]:
    """PNDM extrapolates the output, which is the same at every step for the noise alone."""
    only_noise = isinstance(scheduler, PNDM)
    return ("epsilon",) if only_noise else ("epsilon", "v_prediction", "sample")


@pytest.mark.parametrize(
    ("scheduler", "prediction"),
    [(sampler, kind) for sampler in SAMPLERS for kind in _predictions(sampler)],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_model_that_knows_the_image_is_taken_to_it(scheduler, prediction) -> None:
    """With the true answer at every step, every sampler ends at that image."""
    scheduler = scheduler.model_copy(update={"prediction_type": prediction})
    if isinstance(scheduler, DDIM):
        scheduler = scheduler.model_copy(update={"set_alpha_to_one": True})
    plan = scheduler.plan(12)
    image, noise = (jax.random.normal(jax.random.key(i), (2, 3, 3, 1)) for i in range(2))
    x = plan.start_scale * noise
    state = start(x)
    for i in range(12):
        seen = np.asarray(plan.scaled(i, x), np.float64)
        # sigma of this very step, whatever timestep it is named by
        signal = _signal(scheduler, plan, i)
        sigma = np.sqrt(1 - signal**2)
        eps = (seen - signal * np.asarray(image)) / sigma
        answer = {"epsilon": eps, "sample": image, "v_prediction": signal * eps - sigma * image}
        x, state = plan.step(i, x, jnp.asarray(answer[prediction], x.dtype), state, 0 * x)
    np.testing.assert_allclose(x, image, rtol=0, atol=1e-3)


def _signal(scheduler, plan, i: int) -> float:
    """sqrt(abar) at step i, read off the columns that undo the noising."""
    scale = plan.column("input_scale")[i]
    if scale != 1:
        return float(scale)  # x = x0 + sigma noise, times 1 / sqrt(sigma^2 + 1)
    if isinstance(scheduler, DPMSolverPlusPlus):
        sigmas = scheduler._levels(len(plan))[1]
        return float(1 / np.sqrt(1 + sigmas[i] ** 2))
    return float(np.sqrt(scheduler.abar[int(plan.timesteps[i])]))


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
    clipped, _ = plan.step(0, x, -x, start(x))
    held, _ = plan.step(0, x, -x / plan.column("eps_output")[0] - 50, start(x))
    k = {name: plan.column(name)[0] for name in Row._fields}
    np.testing.assert_allclose(clipped, [[k["x0"] * 0.5 - k["eps"] * 3] * 2], rtol=1e-5)
    np.testing.assert_allclose(held, [[k["x0"] * 0.5 - k["eps"] * 53] * 2], rtol=1e-5)
    assert np.isinf(SD_DDIM.plan(4).column("clip")).all()


def test_noise_is_asked_for_where_it_is_used() -> None:
    assert not SD_DDIM.plan(5).needs_noise
    assert SD_DDIM.plan(5, eta=0.5).needs_noise
    assert DDPM().plan(5).needs_noise
    assert not DPMSolverPlusPlus().plan(5).needs_noise


def test_first_and_last_solver_step_are_of_first_order() -> None:
    for n_steps in (5, 20):
        previous = DPMSolverPlusPlus(**STABLE).plan(n_steps).column("past_1")
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
        ({"_class_name": "LMSDiscreteScheduler"}, "LMSDiscreteScheduler is not.*nearest is PNDM"),
        ({"_class_name": "UniPCMultistepScheduler"}, "nearest is DPMSolverMultistepScheduler"),
        ({"_class_name": "HeunDiscretScheduler"}, "nearest is .*EulerDiscreteScheduler"),
        ({"_class_name": "DDIMSchedular"}, "nearest is DDIMScheduler"),
        ({}, "no _class_name"),
        ({"_class_name": "DDIMScheduler", "thresholding": True}, "thresholding=True"),
        ({"_class_name": "DDIMScheduler", "beta_begin": 1}, "beta_begin=1 is not known"),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "use_flow_sigmas": True},
            "use_flow_sigmas=True is not supported",
        ),
        (
            {
                "_class_name": "EulerDiscreteScheduler",
                "use_karras_sigmas": True,
                "use_beta_sigmas": True,
            },
            "use_karras_sigmas and use_beta_sigmas exclude each other",
        ),
        ({"_class_name": "DDIMScheduler", "beta_schedule": "laplace"}, "beta_schedule"),
        ({"_class_name": "DDPMScheduler", "trained_betas": [0.1]}, "trained_betas has 1 entries"),
    ],
)
def test_fields_refused(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_fields(fields)


def test_a_foreign_file_read_as_another_kind(tmp_path: Path) -> None:
    fields = {"_class_name": "UniPCMultistepScheduler", "solver_p": None, "steps_offset": 1}
    (tmp_path / "scheduler_config.json").write_text(json.dumps(fields | STABLE), encoding="utf-8")
    with pytest.raises(ValueError, match="scheduler_config.json: scheduler UniPC"):
        load_scheduler(tmp_path)
    read = load_scheduler(tmp_path, kind="DDIMScheduler")
    assert read == DDIM(**STABLE, steps_offset=1)


def test_fields_left_over_from_another_sampler_are_passed_over() -> None:
    """As Stable Diffusion's and SDXL's own files have them."""
    left = {"clip_sample": False, "set_alpha_to_one": False, "sample_max_value": 1.0}
    sdxl = {"_class_name": "EulerDiscreteScheduler", "skip_prk_steps": True, "steps_offset": 1}
    assert from_fields({**sdxl, **left, **STABLE}) == Euler(**STABLE, steps_offset=1)
    stable = {"_class_name": "PNDMScheduler", "skip_prk_steps": True, "steps_offset": 1}
    assert from_fields({**stable, **left, **STABLE}) == PNDM(**STABLE, steps_offset=1)


def test_runge_kutta_steps_are_refused_where_they_are_meant() -> None:
    for fields in ({"skip_prk_steps": False}, {}):
        scheduler = from_fields({"_class_name": "PNDMScheduler", **fields})
        with pytest.raises(ValueError, match="skip_prk_steps=False"):
            scheduler.plan(10)


def test_a_new_field_changes_no_text_until_it_is_set() -> None:
    """Pipelines are named by this text; names of recorded runs outlive new fields."""
    assert repr(DDIM()) == (
        "DDIM(num_train_timesteps=1000, beta_start=0.0001, beta_end=0.02, beta_schedule='linear', "
        "trained_betas=None, prediction_type='epsilon', timestep_spacing='leading', "
        "steps_offset=0, clip_sample=True, clip_sample_range=1.0, set_alpha_to_one=True)"
    )
    assert "rescale_betas_zero_snr=True" in repr(DDIM(rescale_betas_zero_snr=True))
    assert "karras" not in repr(DPMSolverPlusPlus())
    assert "use_karras_sigmas=True" in repr(DPMSolverPlusPlus(use_karras_sigmas=True))


def test_published_euler_levels() -> None:
    """SD-Turbo's: trailing spacing."""
    turbo = Euler(**STABLE, timestep_spacing="trailing")
    for n_steps, levels in {1: [14.6146], 4: [14.6146, 4.0817, 1.6129, 0.6932]}.items():
        plan = turbo.plan(n_steps)
        sigmas = np.sqrt(1 / plan.column("input_scale").astype(np.float64) ** 2 - 1)
        np.testing.assert_allclose(sigmas, levels, atol=1e-4)
        assert plan.start_scale == pytest.approx(14.6146, abs=1e-4)
    leading = Euler(**STABLE, timestep_spacing="leading", steps_offset=1).plan(4)
    assert leading.timesteps.tolist() == [751, 501, 251, 1]
    assert leading.start_scale == pytest.approx(np.sqrt((1 - 0.055719) / 0.055719 + 1), abs=1e-3)


def test_published_consistency_timesteps() -> None:
    assert LCM().plan(4).timesteps.tolist() == [999, 759, 499, 259]
    assert LCM().plan(1).column("noise").tolist() == [0]


def test_pndm_counts_model_evaluations() -> None:
    plan = PNDM(**STABLE, steps_offset=1).plan(6)
    assert plan.timesteps.tolist() == [801, 601, 601, 401, 201, 1]
    assert PNDM().plan(1).timesteps.tolist() == [0]
    with pytest.raises(ValueError, match="n_steps=2: PNDM evaluates"):
        PNDM().plan(2)


def test_pndm_is_exact_for_constant_noise() -> None:
    """Every weighting sums to one: a constant output moves as one DDIM step of any length does."""
    pndm, ddim = (made(**STABLE, set_alpha_to_one=True) for made in (PNDM, DDIM))
    x = jax.random.normal(jax.random.key(0), (2, 4))
    output, y = jnp.full((2, 4), 0.3), x
    plan, state = pndm.plan(11), start(x)
    for i in range(11):
        x, state = plan.step(i, x, output, state)
    other = ddim.model_copy(update={"clip_sample": False}).plan(10)
    for i in range(10):
        y, _ = other.step(i, y, output, start(y))
    np.testing.assert_allclose(x, y, rtol=0, atol=1e-5)


def test_ancestral_noise_leaves_the_level_it_aims_at() -> None:
    plan = EulerAncestral(**STABLE).plan(8)
    sigmas = np.sqrt(1 / plan.column("input_scale").astype(np.float64) ** 2 - 1)
    down = sigmas + plan.column("eps")
    np.testing.assert_allclose(np.hypot(down, plan.column("noise"))[:-1], sigmas[1:], rtol=1e-4)


def test_a_model_without_signal_cannot_predict_noise() -> None:
    for made in (DDIM, DDPM):
        scheduler = made(rescale_betas_zero_snr=True, timestep_spacing="trailing")
        with pytest.raises(ValueError, match="prediction_type=epsilon says nothing"):
            scheduler.plan(5)
        velocity = scheduler.model_copy(update={"prediction_type": "v_prediction"})
        assert np.isfinite(velocity.plan(5).column("x0")).all()


@settings(max_examples=60, deadline=None)
@given(
    made=st.sampled_from([DDIM, DDPM, DPMSolverPlusPlus, PNDM, Euler, EulerAncestral, LCM]),
    spacing=st.sampled_from(["leading", "trailing", "linspace"]),
    prediction=st.sampled_from(["epsilon", "v_prediction"]),
    schedule=st.sampled_from(["linear", "scaled_linear", "squaredcos_cap_v2"]),
    n_steps=st.integers(3, 50),
)
def test_every_table_is_finite_and_falls(made, spacing, prediction, schedule, n_steps) -> None:
    scheduler = made(timestep_spacing=spacing, prediction_type=prediction, beta_schedule=schedule)
    plan = scheduler.plan(n_steps)
    assert plan.table.shape == (n_steps, len(Row._fields)) == (len(plan), plan.table.shape[1])
    assert np.isfinite(np.delete(plan.table, Row._fields.index("clip"), axis=1)).all()
    assert (np.diff(plan.timesteps) <= 0).all()
    assert plan.column("noise")[-1] == 0 or made is DDPM


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
