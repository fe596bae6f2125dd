"""The data of a run: which noise a step draws, and the scale a sampler keeps its sample in."""

from dataclasses import replace

import numpy as np

from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import DDPM, DPMSolverPlusPlus, Euler
from workbench.diffusion.steps import first_carry, run_rows


def rows_of(tiny, scheduler, steps: int, injection: float = 0.0):
    plan = replace(Plan.full(steps), injection=injection)
    pipeline = replace(tiny, scheduler=scheduler).with_plan(plan)
    schedule = scheduler.plan(steps)
    return run_rows(pipeline, schedule), schedule


def test_noise_goes_by_timestep_so_that_runs_of_other_lengths_share_it(tiny) -> None:
    rows, schedule = rows_of(tiny, DDPM(), 20)
    np.testing.assert_array_equal(rows.draw, schedule.timesteps)


def test_a_timestep_asked_twice_draws_twice(tiny) -> None:
    scheduler = DPMSolverPlusPlus(use_karras_sigmas=True, algorithm_type="sde-dpmsolver++")
    rows, schedule = rows_of(tiny, scheduler, 120)
    assert len(np.unique(schedule.timesteps)) < 120
    assert len(np.unique(rows.draw)) == 120
    assert rows.draw.min() >= 1000


def test_injected_noise_is_of_the_sample_s_own_scale(tiny) -> None:
    """x = sqrt(abar) (x0 + sigma noise): what is added before a step is divided by sqrt(abar)."""
    rows, schedule = rows_of(tiny, Euler(), 10, injection=0.003)
    late = schedule.timesteps < 500
    abar = np.interp(schedule.timesteps, np.arange(1000), Euler().abar)
    np.testing.assert_allclose(rows.injection[late], 0.003 / np.sqrt(abar[late]), rtol=1e-3)
    assert not rows.injection[~late].any()


def test_the_first_sample_is_noise_of_the_samplers_size(tiny) -> None:
    inputs = tiny.inputs((0, 1))
    schedule = Euler().plan(5)
    carry = first_carry(inputs, schedule)
    np.testing.assert_allclose(carry.x, schedule.start_scale * inputs.noise, rtol=1e-6)
    assert not carry.state.past.any() and not carry.state.anchor.any()
    np.testing.assert_array_equal(first_carry(inputs, DDPM().plan(5)).x, inputs.noise)
