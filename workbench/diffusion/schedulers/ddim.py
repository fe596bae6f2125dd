"""DDIM (Song et al. 2021)."""

import math

import pydantic

from workbench.diffusion.schedulers.noise import RescalableScheduler
from workbench.diffusion.schedulers.schedule import Row, Schedule, table


class DDIM(RescalableScheduler):
    """Denoising diffusion implicit models: few steps, deterministic unless `eta` is raised."""

    clip_sample: bool = True
    clip_sample_range: float = pydantic.Field(1.0, gt=0)
    set_alpha_to_one: bool = True
    """Whether the last step lands on a clean image, or on timestep 0's noise."""

    def plan(self, n_steps: int, *, eta: float = 0.0) -> Schedule:
        """x' = sqrt(abar') x0 + sqrt(1 - abar' - s^2) eps + s noise (eq. 12, s from eq. 16).

        Args:
            n_steps: model evaluations.
            eta: 0 adds no noise, 1 as much as DDPM.

        Raises:
            ValueError: a step count or eta that is out of range.
        """
        if not 0 <= eta <= 1:
            raise ValueError(f"eta={eta} must lie between 0 and 1")
        steps, abar = self._spaced(n_steps), self.abar
        final = 1.0 if self.set_alpha_to_one else float(abar[0])
        rows = []
        for t in steps.tolist():
            # The format's own convention: the stride of leading spacing, whatever the spacing is.
            before = t - self.num_train_timesteps // n_steps
            now, then = float(abar[t]), float(abar[before]) if before >= 0 else final
            variance = (1 - then) / (1 - now) * (1 - now / then)
            sigma = eta * math.sqrt(max(variance, 0.0))
            rows.append(
                Row(
                    **self._predictions(now),
                    clip=self.clip_sample_range if self.clip_sample else math.inf,
                    x0=math.sqrt(then),
                    eps=math.sqrt(max(1 - then - sigma**2, 0.0)),
                    noise=sigma,
                )
            )
        return Schedule(steps, table(rows))
