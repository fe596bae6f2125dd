"""Our samplers against diffusers' own, over whole trajectories, step by step."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from workbench.diffusion.schedulers import (  # noqa: E402
    from_fields,
    load_scheduler,
    save_scheduler,
    start,
)

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

SHAPE = (2, 4, 4, 3)
SPACINGS = ("leading", "trailing", "linspace")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
STABLE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def _model(x: np.ndarray, t: int) -> np.ndarray:
    """Any fixed smooth function of sample and time stands in for a network."""
    return (0.6 * np.sin(1.7 * x + 0.01 * t) + 0.1 * x).astype(np.float32)


def _follow(theirs, n_steps: int, eta: float = 0.0) -> None:
    """Both samplers from the same noise; compares timesteps, then every sample on the way."""
    ours = from_fields(json.loads(theirs.to_json_string()))
    theirs.set_timesteps(n_steps)
    plan = ours.plan(n_steps, eta=eta) if eta else ours.plan(n_steps)
    assert plan.timesteps.tolist() == theirs.timesteps.tolist()
    rng = np.random.default_rng(0)
    first = rng.standard_normal(SHAPE).astype(np.float32)
    x, state, y = jnp.asarray(first), start(jnp.asarray(first)), torch.from_numpy(first)
    keywords = {"eta": eta} if eta else {}
    for i, t in enumerate(theirs.timesteps):
        generator = torch.Generator().manual_seed(i)
        noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(i)).numpy()
        output = _model(y.numpy(), int(t))
        needs = type(theirs) is not diffusers.DPMSolverMultistepScheduler
        if needs:
            keywords["generator"] = generator
        y = theirs.step(torch.from_numpy(output), t, y, **keywords).prev_sample
        mine = jnp.asarray(_model(np.asarray(x), int(t)))
        x, state = plan.step(i, x, mine, state, jnp.asarray(noise) if plan.needs_noise else None)
        reference = y.numpy()
        np.testing.assert_allclose(
            np.asarray(x), reference, rtol=0, atol=2e-4 * max(1.0, np.abs(reference).max())
        )


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim(spacing: str, prediction: str, eta: float) -> None:
    scheduler = diffusers.DDIMScheduler(
        **STABLE,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing=spacing,
        prediction_type=prediction,
    )
    _follow(scheduler, 20, eta)


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("to_one", [True, False])
def test_ddim_clipped(schedule: str, to_one: bool) -> None:
    scheduler = diffusers.DDIMScheduler(
        beta_schedule=schedule, clip_sample=True, clip_sample_range=0.8, set_alpha_to_one=to_one
    )
    _follow(scheduler, 7)
    _follow(scheduler, 50, 0.5)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("clip", [True, False])
def test_ddpm(spacing: str, prediction: str, clip: bool) -> None:
    scheduler = diffusers.DDPMScheduler(
        **STABLE, clip_sample=clip, timestep_spacing=spacing, prediction_type=prediction
    )
    _follow(scheduler, 25)


def test_ddpm_every_step_and_large_variance() -> None:
    short = {"num_train_timesteps": 40, "beta_end": 0.3}
    _follow(diffusers.DDPMScheduler(**short), 40)
    _follow(diffusers.DDPMScheduler(**short, variance_type="fixed_large"), 13)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("n_steps", [1, 2, 8, 20])
def test_dpm_solver(spacing: str, prediction: str, n_steps: int) -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **STABLE, timestep_spacing=spacing, prediction_type=prediction, steps_offset=0
    )
    _follow(scheduler, n_steps)


@pytest.mark.parametrize(
    "fields",
    [
        {"solver_type": "heun"},
        {"solver_order": 1},
        {"final_sigmas_type": "sigma_min"},
        {"final_sigmas_type": "sigma_min", "euler_at_final": True},
        {"lower_order_final": False},
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
        {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
    ],
)
@pytest.mark.parametrize("n_steps", [10, 18])
def test_dpm_solver_forms(fields: dict, n_steps: int) -> None:
    _follow(diffusers.DPMSolverMultistepScheduler(**(STABLE | fields)), n_steps)


@pytest.mark.parametrize("name", ["DDIMScheduler", "DDPMScheduler", "DPMSolverMultistepScheduler"])
def test_files_both_ways(name: str, tmp_path: Path) -> None:
    made = getattr(diffusers, name)(**STABLE, prediction_type="v_prediction")
    made.save_pretrained(tmp_path / "theirs")
    ours = load_scheduler(tmp_path / "theirs")
    save_scheduler(ours, tmp_path / "ours")
    again = getattr(diffusers, name).from_pretrained(tmp_path / "ours")
    for field in type(ours).model_fields:
        assert again.config[field] == made.config[field], field


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_training_conversions(schedule: str) -> None:
    theirs = diffusers.DDPMScheduler(beta_schedule=schedule)
    ours = from_fields(json.loads(theirs.to_json_string()))
    rng = np.random.default_rng(1)
    x0, noise = (rng.standard_normal(SHAPE).astype(np.float32) for _ in range(2))
    t = np.asarray([3, 700])
    arguments = torch.from_numpy(x0), torch.from_numpy(noise), torch.from_numpy(t)
    mine = jnp.asarray(x0), jnp.asarray(noise), jnp.asarray(t)
    close = {"rtol": 0, "atol": 2e-5}
    np.testing.assert_allclose(ours.add_noise(*mine), theirs.add_noise(*arguments).numpy(), **close)
    np.testing.assert_allclose(
        ours.velocity(*mine), theirs.get_velocity(*arguments).numpy(), **close
    )
