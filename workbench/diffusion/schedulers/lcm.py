"""Sampling of latent consistency models (Luo et al. 2023)."""

import math
from typing import Literal

import numpy as np
import pydantic
from jaxtyping import Int

from workbench.diffusion.schedulers.noise import RescalableScheduler
from workbench.diffusion.schedulers.schedule import Row, Schedule, table

SIGMA_DATA = 0.5
"""Standard deviation of the data in the boundary condition, the paper's."""


class LCM(RescalableScheduler):
    """Each step predicts the image; all but the last noise it again. For models distilled so."""

    beta_start: float = pydantic.Field(0.00085, gt=0, lt=1)
    beta_end: float = pydantic.Field(0.012, gt=0, lt=1)
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "scaled_linear"
    original_inference_steps: int = pydantic.Field(50, ge=1)
    """Steps of the solver that the model was distilled from."""
    clip_sample: bool = False
    clip_sample_range: float = pydantic.Field(1.0, gt=0)
    set_alpha_to_one: bool = True
    """Kept for the file; no step of this sampler goes below timestep 0."""
    timestep_scaling: float = pydantic.Field(10.0, gt=0)

    def plan(self, n_steps: int) -> Schedule:
        """f = c_skip x + c_out x0;  x' = sqrt(abar') f + sqrt(1 - abar') noise (algorithm 3).

        c_skip and c_out are the boundary condition of eq. 9: f = x at timestep 0.

        Raises:
            ValueError: more steps than `original_inference_steps`.
        """
        steps, abar = self._spaced(n_steps), self.abar
        rows = []
        for t, following in zip(steps.tolist(), [*steps[1:].tolist(), None], strict=True):
            scaled = t * self.timestep_scaling
            skip = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
            out = scaled / math.sqrt(scaled**2 + SIGMA_DATA**2)
            then = 1.0 if following is None else float(abar[following])
            rows.append(
                Row(
                    **self._predictions(float(abar[t])),
                    clip=self.clip_sample_range if self.clip_sample else math.inf,
                    x=math.sqrt(then) * skip,
                    x0=math.sqrt(then) * out,
                    noise=math.sqrt(1 - then),
                )
            )
        return Schedule(steps, table(rows))

    def _spaced(self, n_steps: int) -> Int[np.ndarray, " N"]:
        """An even choice from the timesteps of the distilled solver, whatever the spacing says."""
        most = self.original_inference_steps
        if most > self.num_train_timesteps:
            raise ValueError(
                f"original_inference_steps={most} must be at most num_train_timesteps="
                f"{self.num_train_timesteps}"
            )
        if not 1 <= n_steps <= most:
            raise ValueError(
                f"n_steps={n_steps} must lie between 1 and original_inference_steps={most}"
            )
        solver = np.arange(most, 0, -1) * (self.num_train_timesteps // most) - 1
        chosen = np.floor(np.linspace(0, most, n_steps, endpoint=False)).astype(np.int64)
        return self._checked(solver[chosen], n_steps)
