"""PNDM (Liu et al. 2022) in the form without Runge-Kutta steps that latent diffusion uses."""

import math
from typing import Literal

import numpy as np

from workbench.diffusion.schedulers.noise import Scheduler
from workbench.diffusion.schedulers.schedule import Row, Schedule, table

WEIGHTS = (
    (1.0,),
    (1 / 2, 1 / 2),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Adams-Bashforth weights of this and earlier outputs at the first steps; the last goes on.

The second step is no such step: it repeats the first, with the mean of the outputs at both ends.
"""


class PNDM(Scheduler):
    """Pseudo linear multistep: the noise is extrapolated from the last four outputs.

    A step is a model evaluation, as for every sampler here. The timestep after the first is
    evaluated twice, so n steps go over n - 1 timesteps; diffusers calls that n - 1 steps: its usual
    50 are 51 here.
    """

    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon"
    skip_prk_steps: bool = True
    """Whether there is no warm-up of twelve Runge-Kutta evaluations; must be true."""
    set_alpha_to_one: bool = False
    """Whether the last step lands on a clean image, or on timestep 0's noise."""

    def plan(self, n_steps: int) -> Schedule:
        """x' = sqrt(abar'/abar) x - (abar' - abar) e / d, e the extrapolated noise (eq. 9, 12).

        d = abar sqrt(1 - abar') + sqrt(abar (1 - abar) abar').

        Raises:
            ValueError: a step count that is out of range, or a file that asks for Runge-Kutta
                steps.
        """
        if not self.skip_prk_steps:
            raise ValueError(
                "PNDMScheduler field skip_prk_steps=False (Runge-Kutta steps first) is not"
                " supported; supported: True"
            )
        if n_steps == 2:
            raise ValueError(
                "n_steps=2: PNDM evaluates its second timestep twice; take 1, or 3 or more steps"
            )
        spaced = self._spaced(max(n_steps - 1, 1)).tolist()
        stride = self.num_train_timesteps // len(spaced)
        steps = [*spaced[:2], *spaced[1:]][:n_steps]
        rows = []
        for i, t in enumerate(steps):
            weights = WEIGHTS[min(i, 4)]
            repeats = i == 1
            now, then = (t + stride, t) if repeats else (t, t - stride)
            x, noise = self._transfer(now, then)
            # The repeat starts from the first sample again, and its output is not remembered.
            rows.append(
                Row(
                    x0_x=0.0,
                    x0_output=0.0,
                    eps_x=0.0,
                    eps_output=1.0,
                    **{"anchor" if repeats else "x": x},
                    eps=noise * weights[0],
                    **{f"past_{j}": noise * weight for j, weight in enumerate(weights) if j},
                    kept_output=1.0,
                    push=float(not repeats),
                    hold=float(i == 0),
                )
            )
        return Schedule(np.asarray(steps, np.int32), table(rows))

    def _transfer(self, now: int, then: int) -> tuple[float, float]:
        """What the sample and the (averaged) output weigh in a move between two timesteps."""
        final = 1.0 if self.set_alpha_to_one else float(self.abar[0])
        abar = float(self.abar[now])
        following = float(self.abar[then]) if then >= 0 else final
        x = math.sqrt(following / abar)
        d = abar * math.sqrt(1 - following) + math.sqrt(abar * (1 - abar) * following)
        noise = -(following - abar) / d
        if self.prediction_type == "epsilon":
            return x, noise
        # Of a velocity, eps = sqrt(abar) output + sqrt(1 - abar) x.
        return x + noise * math.sqrt(1 - abar), noise * math.sqrt(abar)
