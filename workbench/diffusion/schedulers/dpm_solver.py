"""DPM-Solver++ in its multistep form (Lu et al. 2022, "DPM-Solver++", algorithm 2)."""

import math
from typing import Literal

import numpy as np
from jaxtyping import Int

from workbench.diffusion.schedulers.noise import Scheduler
from workbench.diffusion.schedulers.schedule import Row, Schedule, table


class DPMSolverPlusPlus(Scheduler):
    """Second-order solver in log-SNR time over predicted clean images."""

    timestep_spacing: Literal["leading", "trailing", "linspace"] = "linspace"
    solver_order: Literal[1, 2] = 2
    solver_type: Literal["midpoint", "heun"] = "midpoint"
    lower_order_final: bool = True
    euler_at_final: bool = False
    final_sigmas_type: Literal["zero", "sigma_min"] = "zero"
    lambda_min_clipped: float = -math.inf

    def plan(self, n_steps: int) -> Schedule:
        """x' = (s'/s) x - a' (e^-h - 1) (m0 + (m0 - m1) / 2r), r the ratio of log-SNR steps.

        m are the predicted clean images. The first step is of first order, and so is the last
        where it lands on a clean image or is one of few.

        Raises:
            ValueError: a step count that is out of range.
        """
        steps = self._spaced(n_steps)
        sigmas = np.sqrt((1 - self.abar) / self.abar)
        last = 0.0 if self.final_sigmas_type == "zero" else float(sigmas[0])
        path = [*sigmas[steps].tolist(), last]
        rows = []
        for i in range(n_steps):
            here, following = path[i], path[i + 1]
            few = self.lower_order_final and n_steps < 15
            final = i == n_steps - 1 and (
                self.euler_at_final or few or self.final_sigmas_type == "zero"
            )
            alpha, ratio, shrink = _move(here, following)
            x0, previous = shrink, 0.0
            if self.solver_order == 2 and i > 0 and not final:
                h, h_before = math.log(here / following), math.log(path[i - 1] / here)
                half = (
                    shrink / 2
                    if self.solver_type == "midpoint"
                    else alpha * (math.expm1(-h) / h + 1)
                )
                slope = half * h / h_before
                x0, previous = shrink + slope, -slope
            rows.append(
                Row(
                    **self._predictions(1 / (1 + here**2)),
                    clip=math.inf,
                    x=ratio,
                    x0=x0,
                    previous=previous,
                    eps=0.0,
                    noise=0.0,
                )
            )
        return Schedule(steps, table(rows))

    def _spaced(self, n_steps: int) -> Int[np.ndarray, " N"]:
        """Spacing over n + 1 points of which the last, nearly clean one is left out."""
        total = self.num_train_timesteps
        steps: np.ndarray
        if not 1 <= n_steps <= total:
            raise ValueError(
                f"n_steps={n_steps} must lie between 1 and num_train_timesteps={total}"
            )
        log_snr = 0.5 * np.log(self.abar / (1 - self.abar))
        end = total - int(np.searchsorted(log_snr[::-1], self.lambda_min_clipped))
        match self.timestep_spacing:
            case "linspace":
                steps = np.linspace(0, end - 1, n_steps + 1).round()[::-1][:-1]
            case "leading":
                steps = np.arange(n_steps, 0, -1) * (end // (n_steps + 1)) + self.steps_offset
            case "trailing":
                steps = np.arange(end, 0, -total / n_steps).round() - 1
        if len(steps) != n_steps:
            raise ValueError(
                f"n_steps={n_steps}: lambda_min_clipped={self.lambda_min_clipped}"
                f" leaves only {len(steps)} steps"
            )
        return self._checked(steps, n_steps)


def _move(here: float, following: float) -> tuple[float, float, float]:
    """Between two noise-to-signal ratios: the next alpha, sigma'/sigma, and -alpha' (e^-h - 1)."""
    alpha = 1 / math.sqrt(1 + following**2)
    ratio = following * alpha / (here / math.sqrt(1 + here**2))
    return alpha, ratio, alpha * (1 - following / here)
