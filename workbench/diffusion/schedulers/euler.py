"""Euler's method over noise levels, plain (Karras et al. 2022) and ancestral.

The sample is x0 + sigma noise here, not sqrt(abar) x0 + sqrt(1 - abar) noise: the model is given
x / sqrt(sigma^2 + 1), and the first noise has standard deviation `start_scale`.
"""

import itertools
import math
from typing import Literal

import numpy as np
import pydantic
from jaxtyping import Float

from workbench.diffusion.schedulers.noise import RescalableScheduler
from workbench.diffusion.schedulers.schedule import Row, Schedule, table
from workbench.diffusion.schedulers.sigmas import SigmaScheduler, exponential


class Euler(SigmaScheduler):
    """First-order solver of the probability flow, without added noise."""

    timestep_spacing: Literal["leading", "trailing", "linspace"] = "linspace"
    interpolation_type: Literal["linear", "log_linear"] = "linear"
    timestep_type: Literal["discrete", "continuous"] = "discrete"
    """Whether a velocity model is told the timestep, or log(sigma) / 4."""
    final_sigmas_type: Literal["zero", "sigma_min"] = "zero"
    sigma_min: float | None = pydantic.Field(None, gt=0)
    sigma_max: float | None = pydantic.Field(None, gt=0)

    def plan(self, n_steps: int) -> Schedule:
        """x' = x + (sigma' - sigma) eps (Karras et al. 2022, algorithm 1 without its correction).

        Raises:
            ValueError: a step count that is out of range.
        """
        times = levels(self, n_steps)
        sigmas = np.interp(times, np.arange(self.num_train_timesteps), self.sigmas)
        if self.interpolation_type == "log_linear":
            # The format's own: n + 1 levels, so that the last step ends at one of them.
            sigmas = exponential(self.sigmas[-1], self.sigmas[0], n_steps + 1)
        if self.path is not None:
            first, end = self.sigma_max or sigmas[0], self.sigma_min or sigmas[-1]
            sigmas = self.path(first, end, n_steps)
            times = self.times(sigmas)
        if self.timestep_type == "continuous" and self.prediction_type == "v_prediction":
            times = 0.25 * np.log(sigmas[:n_steps])
        last = 0.0 if self.final_sigmas_type == "zero" else float(self.sigmas[0])
        path = [*sigmas.tolist(), last][: n_steps + 1]
        rows = [
            Row(**columns(self, now), x=1.0, eps=then - now)
            for now, then in itertools.pairwise(path)
        ]
        return Schedule(times, table(rows), start_scale(self, path))


class EulerAncestral(RescalableScheduler):
    """Euler steps past the next noise level, and fresh noise back up to it."""

    least_abar = 2.0**-24
    timestep_spacing: Literal["leading", "trailing", "linspace"] = "linspace"

    def plan(self, n_steps: int) -> Schedule:
        """x' = x + (down - sigma) eps + up noise, with up^2 = sigma'^2 (1 - sigma'^2 / sigma^2).

        down^2 = sigma'^2 - up^2 (Song et al. 2021, section 4.1, eta 1, over noise levels).

        Raises:
            ValueError: a step count that is out of range.
        """
        times = levels(self, n_steps)
        sigmas = np.interp(times, np.arange(self.num_train_timesteps), self.sigmas)
        path = [*sigmas.tolist(), 0.0]
        rows = []
        for now, then in itertools.pairwise(path):
            up = then * math.sqrt(max(1 - (then / now) ** 2, 0.0))
            down = then**2 / now
            rows.append(Row(**columns(self, now), x=1.0, eps=down - now, noise=up))
        return Schedule(times, table(rows), start_scale(self, path))


def levels(scheduler: Euler | EulerAncestral, n_steps: int) -> Float[np.ndarray, " N"]:
    """Timesteps by `timestep_spacing`; between whole ones where `linspace` falls there.

    Raises:
        ValueError: a step count that is out of range.
    """
    total = scheduler.num_train_timesteps
    if scheduler.timestep_spacing != "linspace":
        return scheduler._spaced(n_steps).astype(np.float64)
    scheduler._in_range(n_steps)
    return np.linspace(0, total - 1, n_steps)[::-1]


def columns(scheduler: Euler | EulerAncestral, sigma: float) -> dict[str, float]:
    """Columns that scale the input and turn the output into x0 and eps, at noise level `sigma`."""
    size = math.sqrt(sigma**2 + 1)
    match scheduler.prediction_type:
        case "epsilon":
            values = (1.0, -sigma, 0.0, 1.0)
        case "sample":
            values = (0.0, 1.0, 1 / sigma, -1 / sigma)
        case "v_prediction":
            values = (1 / size**2, -sigma / size, sigma / size**2, 1 / size)
    names = ("x0_x", "x0_output", "eps_x", "eps_output")
    return {"input_scale": 1 / size, **dict(zip(names, values, strict=True))}


def start_scale(scheduler: Euler | EulerAncestral, path: list[float]) -> float:
    """The first noise's standard deviation: sigma, or with leading spacing the whole sample's."""
    first = max(path)
    return math.sqrt(first**2 + 1) if scheduler.timestep_spacing == "leading" else first
