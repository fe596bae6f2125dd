"""Paths of falling noise levels, from the first to the last of n steps."""

from collections.abc import Callable

import numpy as np
import pydantic
from jaxtyping import Float

from workbench.diffusion.schedulers.noise import RescalableScheduler

Path = Callable[[float, float, int], Float[np.ndarray, " N"]]

RHO = 7.0
"""Curvature of the path of Karras et al., their value for sampling."""


def karras(first: float, last: float, n: int) -> Float[np.ndarray, " N"]:
    """(first^(1/rho) + i/(n-1) (last^(1/rho) - first^(1/rho)))^rho (Karras et al. 2022, eq. 5)."""
    ends = first ** (1 / RHO), last ** (1 / RHO)
    return np.asarray((ends[0] + np.linspace(0, 1, n) * (ends[1] - ends[0])) ** RHO)


def exponential(first: float, last: float, n: int) -> Float[np.ndarray, " N"]:
    """Even in log sigma."""
    return np.exp(np.linspace(np.log(first), np.log(last), n))


def beta(first: float, last: float, n: int) -> Float[np.ndarray, " N"]:
    """Quantiles of Beta(0.6, 0.6): dense at both ends (Lee et al. 2024, section 3.3)."""
    from scipy.stats import beta as distribution

    return np.asarray(last + (first - last) * distribution.ppf(np.linspace(1, 0, n), 0.6, 0.6))


class SigmaScheduler(RescalableScheduler):
    """A sampler that steps over noise levels, which need not be those of whole timesteps."""

    least_abar = 2.0**-24
    use_karras_sigmas: bool | None = False
    use_exponential_sigmas: bool | None = False
    use_beta_sigmas: bool | None = False

    later = RescalableScheduler.later | {
        "use_karras_sigmas",
        "use_exponential_sigmas",
        "use_beta_sigmas",
    }

    @pydantic.model_validator(mode="after")
    def _one_path(self) -> "SigmaScheduler":
        paths = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas")
        chosen = [name for name in paths if getattr(self, name, False)]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other; set one")
        return self

    @property
    def path(self) -> Path | None:
        """How noise levels fall, where they do not follow the timesteps."""
        if self.use_karras_sigmas:
            return karras
        if self.use_exponential_sigmas:
            return exponential
        return beta if self.use_beta_sigmas else None

    def times(self, sigmas: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Timesteps with these noise levels, interpolated in log sigma."""
        known = np.log(self.sigmas)
        return np.interp(np.log(np.maximum(sigmas, 1e-10)), known, np.arange(len(known)))
