"""DPM-Solver and DPM-Solver++ in multistep form, plain and stochastic (Lu et al. 2022)."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from workbench.diffusion.schedulers.schedule import Row, Schedule, table
from workbench.diffusion.schedulers.sigmas import Path, SigmaScheduler, exponential


class DPMSolverPlusPlus(SigmaScheduler):
    """Multistep solver in log-SNR time, over predicted clean images or (without ++) noise."""

    timestep_spacing: Literal["leading", "trailing", "linspace"] = "linspace"
    solver_order: Literal[1, 2, 3] = 2
    solver_type: Literal["midpoint", "heun"] = "midpoint"
    lower_order_final: bool = True
    euler_at_final: bool = False
    final_sigmas_type: Literal["zero", "sigma_min"] = "zero"
    lambda_min_clipped: float = -math.inf
    algorithm_type: Literal["dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver"] = (
        "dpmsolver++"
    )
    use_lu_lambdas: bool | None = False

    later = SigmaScheduler.later | {"algorithm_type", "use_lu_lambdas"}

    def plan(self, n_steps: int) -> Schedule:
        """x' = a x + b0 D0 + b1 D1 + b2 D2 (+ noise), D the divided differences of predictions.

        The weights are those of `_weights`. The first step is of first order, and so is the last
        where it lands on a clean image or is one of few.

        Raises:
            ValueError: a step count that is out of range, or settings that do not go together.
        """
        self._check_algorithm()
        steps, sigmas = self._levels(n_steps)
        last = 0.0 if self.final_sigmas_type == "zero" else float(self.sigmas[0])
        path = [*sigmas.tolist(), last]
        data = self.algorithm_type.endswith("++")
        few = self.lower_order_final and n_steps < 15
        rows = []
        for i in range(n_steps):
            order: int = min(self.solver_order, i + 1)
            if i == n_steps - 1 and (self.euler_at_final or few or last == 0):
                order = 1
            elif i == n_steps - 2 and few:
                order = min(order, 2)
            x, weights, noise = self._weights(path[max(i - order + 1, 0) : i + 2])
            predictions = self._predictions(1 / (1 + path[i] ** 2))
            kind = "x0" if data else "eps"
            rows.append(
                Row(
                    **predictions,
                    x=x,
                    **{kind: weights[0]},
                    noise=noise,
                    past_1=weights[1],
                    past_2=weights[2],
                    kept_x=predictions[f"{kind}_x"],
                    kept_output=predictions[f"{kind}_output"],
                    push=1.0,
                )
            )
        return Schedule(steps, table(rows))

    def _weights(self, path: Sequence[float]) -> tuple[float, Float[np.ndarray, " 3"], float]:
        """Weights of x, of this and the two earlier predictions, and of noise, in one step.

        DPM-Solver++ section 4 and appendix A (algorithm 2; stochastic: appendix D), DPM-Solver
        appendix B; order = len(path) - 1.

        Args:
            path: noise levels: earlier ones that the order needs, this step's, the next.
        """
        *_, here, then = path
        alpha, alpha_here = (1 / math.sqrt(1 + s**2) for s in (then, here))
        sigma, sigma_here = then * alpha, here * alpha_here
        h = math.log(here / then) if then > 0 else math.inf
        # In units of `unit`, every form weighs D0 by -expm1(z) and D1, D2 by what follows from it.
        match self.algorithm_type:
            case "dpmsolver++":
                x, unit, z, noise = sigma / sigma_here, alpha, -h, 0.0
            case "sde-dpmsolver++":
                x, unit, z = sigma / sigma_here * math.exp(-h), alpha, -2 * h
                noise = sigma * math.sqrt(-math.expm1(-2 * h))
            case "dpmsolver":
                x, unit, z, noise = alpha / alpha_here, sigma, h, 0.0
            case "sde-dpmsolver":
                x, unit, z = alpha / alpha_here, 2 * sigma, h
                noise = sigma * math.sqrt(math.expm1(2 * h))
        move = math.expm1(z)
        now, before, long_before = np.eye(3)
        weights = -unit * move * now
        if len(path) == 2:
            return x, weights, noise
        sign = 1 if self.algorithm_type.endswith("++") else -1
        bent = unit * sign * (move / abs(z) + sign)
        slope = (now - before) * h / math.log(path[-3] / here)
        if len(path) == 3:
            first = -unit * move / 2 if self.solver_type == "midpoint" else bent
            return x, weights + first * slope, noise
        r0, r1 = (math.log(a / b) / h for a, b in ((path[1], here), (path[0], path[1])))
        change = slope - (before - long_before) / r1
        curve = -unit * ((move - z) / z**2 - 0.5)
        slope, second = slope + r0 / (r0 + r1) * change, change / (r0 + r1)
        return x, weights + bent * slope + curve * second, noise

    def _levels(self, n_steps: int) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, " N"]]:
        """Timesteps and the noise levels of the steps, which a path may set apart from them."""
        path: Path | None = exponential if self.use_lu_lambdas else self.path
        if path is None:
            steps = self._spaced(n_steps)
            return steps, self.sigmas[steps]
        self._in_range(n_steps)
        sigmas = path(float(self.sigmas[-1]), float(self.sigmas[0]), n_steps)
        times = self.times(sigmas)
        if (self.use_karras_sigmas or self.use_lu_lambdas) and (
            self.beta_schedule != "squaredcos_cap_v2"
        ):
            times = times.round()
        return times.astype(np.int32), sigmas

    def _spaced(self, n_steps: int) -> Int[np.ndarray, " N"]:
        """Spacing over n + 1 points of which the last, nearly clean one is left out."""
        total = self.num_train_timesteps
        steps: np.ndarray
        self._in_range(n_steps)
        log_snr = -np.log(self.sigmas)
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

    def _check_algorithm(self) -> None:
        data = self.algorithm_type.endswith("++")
        if not data and self.final_sigmas_type == "zero":
            raise ValueError(
                f"final_sigmas_type=zero does not go with algorithm_type={self.algorithm_type},"
                " which divides by the last sigma; set final_sigmas_type to sigma_min"
            )
        if self.algorithm_type.startswith("sde") and self.solver_order == 3:
            raise ValueError(
                f"solver_order=3 is not supported with algorithm_type={self.algorithm_type};"
                " take 1 or 2"
            )
