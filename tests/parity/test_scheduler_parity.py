"""Our samplers against diffusers' own, over whole trajectories, step by step."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers import peer

torch = peer("torch")
diffusers = peer("diffusers")

from workbench.diffusion.schedulers import (  # noqa: E402
    from_fields,
    load_scheduler,
    save_scheduler,
    start,
)
from workbench.diffusion.schedulers.files import CLASSES  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

SHAPE = (2, 4, 4, 3)
SPACINGS = ("leading", "trailing", "linspace")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
STABLE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


NOISY = ("DDIMScheduler", "DDPMScheduler", "EulerAncestralDiscreteScheduler", "LCMScheduler")


def _model(x: np.ndarray, t: float) -> np.ndarray:
    """Any fixed smooth function of sample and time stands in for a network."""
    return 0.6 * np.sin(1.7 * x + 0.01 * t) + 0.1 * x


def _made(name: str, **fields):
    """Their scheduler with its noise tables in float64, where ours are too."""
    theirs = getattr(diffusers, name)(**(STABLE | fields))
    ours = from_fields(json.loads(theirs.to_json_string()))
    np.testing.assert_allclose(theirs.alphas_cumprod.numpy(), ours.abar, rtol=2e-4, atol=2e-7)
    theirs.alphas_cumprod = torch.from_numpy(np.array(ours.abar))
    if hasattr(theirs, "final_alpha_cumprod") and not theirs.config.set_alpha_to_one:
        theirs.final_alpha_cumprod = theirs.alphas_cumprod[0]
    theirs.alphas = torch.from_numpy(np.append(ours.abar[0], ours.abar[1:] / ours.abar[:-1]))
    theirs.betas = 1 - theirs.alphas
    if hasattr(theirs, "lambda_t"):
        theirs.lambda_t = -torch.log(torch.from_numpy(np.array(ours.sigmas)))
    return theirs, ours


def _follow(theirs, ours, n_steps: int, eta: float = 0.0, close: float = 1e-5) -> None:
    """Both samplers from the same noise; compares timesteps, then every sample on the way.

    Args:
        close: how far samples may be apart, over the largest number on the way.
    """
    theirs.set_timesteps(n_steps)
    n_steps = len(theirs.timesteps)
    plan = ours.plan(n_steps, eta=eta) if eta else ours.plan(n_steps)
    np.testing.assert_allclose(plan.timesteps, theirs.timesteps.numpy(), rtol=1e-6, atol=1e-4)
    assert plan.start_scale == pytest.approx(float(theirs.init_noise_sigma), rel=1e-6)
    first = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    y = torch.from_numpy(first).double() * theirs.init_noise_sigma
    x = jnp.asarray(first) * jnp.float32(plan.start_scale)
    state, largest = start(x), _size(y)
    keywords = {"eta": eta} if eta else {}
    stochastic = type(theirs).__name__ in NOISY or "sde" in theirs.config.get("algorithm_type", "")
    for i, t in enumerate(theirs.timesteps):
        noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(i), dtype=torch.float64)
        if "algorithm_type" in theirs.config:
            keywords["variance_noise"] = noise
        elif stochastic:
            keywords["generator"] = torch.Generator().manual_seed(i)
        seen = theirs.scale_model_input(y, t).double()
        np.testing.assert_allclose(plan.scaled(i, x), seen, rtol=0, atol=close * largest)
        output = _model(seen.numpy(), float(t))
        y = theirs.step(torch.from_numpy(output), t, y, **keywords).prev_sample.double()
        mine = jnp.asarray(_model(np.asarray(plan.scaled(i, x)), float(t)), jnp.float32)
        given = jnp.asarray(noise.numpy(), jnp.float32) if plan.needs_noise else None
        x, state = plan.step(i, x, mine, state, given)
        # What rounding takes from the largest sample on the way does not come back.
        largest = max(largest, _size(y))
        np.testing.assert_allclose(x, y, rtol=0, atol=close * largest)


def _size(values) -> float:
    return max(1.0, float(values.abs().max()))


KINDS: list[tuple[str, dict]] = [
    ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}),
    ("DDPMScheduler", {"clip_sample": True}),
    ("DDPMScheduler", {"clip_sample": False}),
    ("DPMSolverMultistepScheduler", {}),
    ("PNDMScheduler", {"skip_prk_steps": True, "steps_offset": 1}),
    ("PNDMScheduler", {"skip_prk_steps": True, "set_alpha_to_one": True}),
    ("EulerDiscreteScheduler", {"steps_offset": 1}),
    ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    ("EulerAncestralDiscreteScheduler", {"steps_offset": 1}),
    ("LCMScheduler", {}),
    ("LCMScheduler", {"clip_sample": True, "clip_sample_range": 0.8}),
]


def _predictions(name: str) -> tuple[str, ...]:
    """Those their class takes."""
    no_sample = name in ("PNDMScheduler", "EulerAncestralDiscreteScheduler")
    return PREDICTIONS[:2] if no_sample else PREDICTIONS


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(
    ("name", "fields", "prediction"),
    [(name, fields, kind) for name, fields in KINDS for kind in _predictions(name)],
)
def test_every_spacing_and_prediction(name: str, fields: dict, spacing: str, prediction: str):
    for n_steps in (20, 4, 1):
        _follow(
            *_made(name, **fields, timestep_spacing=spacing, prediction_type=prediction), n_steps
        )


@pytest.mark.parametrize("name", CLASSES)
def test_beside_their_own_tables(name: str) -> None:
    """Nothing of theirs is replaced; they round products of a thousand factors to float32."""
    more = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    theirs = getattr(diffusers, name)(**STABLE, **more)
    _follow(theirs, from_fields(json.loads(theirs.to_json_string())), 20, close=2e-5)


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("to_one", [True, False])
def test_ddim_clipped(schedule: str, to_one: bool) -> None:
    fields = {"clip_sample": True, "clip_sample_range": 0.8, "set_alpha_to_one": to_one}
    _follow(*_made("DDIMScheduler", beta_schedule=schedule, **fields), 7)
    _follow(*_made("DDIMScheduler", beta_schedule=schedule, **fields), 50, 0.5)
    _follow(*_made("DDIMScheduler", beta_schedule=schedule, **fields), 20, 1.0)


def test_ddpm_every_step_and_large_variance() -> None:
    short = {"num_train_timesteps": 40, "beta_end": 0.3}
    _follow(*_made("DDPMScheduler", **short), 40)
    _follow(*_made("DDPMScheduler", **short, variance_type="fixed_large"), 13)


@pytest.mark.parametrize(
    ("name", "spacing"),
    [
        ("DDIMScheduler", "trailing"),
        ("DDPMScheduler", "trailing"),
        ("LCMScheduler", "leading"),
        ("EulerDiscreteScheduler", "trailing"),
        ("EulerAncestralDiscreteScheduler", "linspace"),
        ("DPMSolverMultistepScheduler", "trailing"),
    ],
)
def test_zero_terminal_signal(name: str, spacing: str) -> None:
    """From pure noise; the solvers over noise levels leave 2^-24 of signal, as theirs do."""
    fields = {"rescale_betas_zero_snr": True, "timestep_spacing": spacing}
    _follow(*_made(name, **fields, prediction_type="v_prediction"), 8)


@pytest.mark.parametrize(
    "fields",
    [
        {"interpolation_type": "log_linear"},
        {"interpolation_type": "log_linear", "use_karras_sigmas": True},
        {"use_exponential_sigmas": True},
        {"use_beta_sigmas": True},
        {"use_karras_sigmas": True, "sigma_min": 0.002, "sigma_max": 14.0},
        {"final_sigmas_type": "sigma_min"},
        {
            "timestep_type": "continuous",
            "prediction_type": "v_prediction",
            "use_karras_sigmas": True,
            "sigma_min": 0.002,
            "sigma_max": 700.0,
        },
        {"beta_schedule": "squaredcos_cap_v2"},
        {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
    ],
)
@pytest.mark.parametrize("n_steps", [4, 18])
def test_euler_forms(fields: dict, n_steps: int) -> None:
    _follow(*_made("EulerDiscreteScheduler", **fields), n_steps)


@pytest.mark.parametrize(
    "fields",
    [
        {"solver_type": "heun"},
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_order": 3, "lower_order_final": False},
        {"final_sigmas_type": "sigma_min"},
        {"final_sigmas_type": "sigma_min", "euler_at_final": True},
        {"lower_order_final": False},
        {"use_karras_sigmas": True},
        {"use_karras_sigmas": True, "beta_schedule": "squaredcos_cap_v2"},
        {"use_lu_lambdas": True},
        {"use_exponential_sigmas": True},
        {"use_beta_sigmas": True},
        {"algorithm_type": "sde-dpmsolver++"},
        {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun", "use_karras_sigmas": True},
        {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"},
        {
            "algorithm_type": "dpmsolver",
            "final_sigmas_type": "sigma_min",
            "solver_type": "heun",
            "solver_order": 3,
        },
        {"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min"},
        {
            "algorithm_type": "sde-dpmsolver",
            "final_sigmas_type": "sigma_min",
            "solver_type": "heun",
            "prediction_type": "v_prediction",
        },
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
        {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
    ],
)
@pytest.mark.parametrize("n_steps", [2, 10, 18])
def test_dpm_solver_forms(fields: dict, n_steps: int) -> None:
    _follow(*_made("DPMSolverMultistepScheduler", **fields), n_steps)


@pytest.mark.parametrize("name", CLASSES)
def test_files_both_ways(name: str, tmp_path: Path) -> None:
    more = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    made = getattr(diffusers, name)(**STABLE, **more, prediction_type="v_prediction")
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
