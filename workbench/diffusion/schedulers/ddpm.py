"""DDPM (Ho et al. 2020)."""

import math
from typing import Literal

import pydantic

from workbench.diffusion.schedulers.noise import RescalableScheduler
from workbench.diffusion.schedulers.schedule import Row, Schedule, table


class DDPM(RescalableScheduler):
    """Ancestral sampling: every step but the last adds noise."""

    clip_sample: bool = True
    clip_sample_range: float = pydantic.Field(1.0, gt=0)
    variance_type: Literal["fixed_small", "fixed_large"] = "fixed_small"

    def plan(self, n_steps: int) -> Schedule:
        """Mean and variance of q(x' | x, x0), x0 as predicted (eq. 6 and 7).

        Raises:
            ValueError: a step count that is out of range.
        """
        steps, abar = self._spaced(n_steps).tolist(), self.abar
        rows = []
        for t, before in zip(steps, [*steps[1:], -1], strict=True):
            now, then = float(abar[t]), float(abar[before]) if before >= 0 else 1.0
            beta = 1 - now / then
            small = max((1 - then) / (1 - now) * beta, 1e-20)
            variance = small if self.variance_type == "fixed_small" else beta
            rows.append(
                Row(
                    **self._predictions(now),
                    clip=self.clip_sample_range if self.clip_sample else math.inf,
                    x=math.sqrt(1 - beta) * (1 - then) / (1 - now),
                    x0=math.sqrt(then) * beta / (1 - now),
                    noise=math.sqrt(variance) if t > 0 else 0.0,
                )
            )
        return Schedule(self._spaced(n_steps), table(rows))
