"""The noising process: what is left of an image at each timestep, and what a model learns."""

import functools
import math
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Self

import jax.numpy as jnp
import numpy as np
import pydantic
from jaxtyping import Array, Float, Int

from workbench.diffusion.schedulers.schedule import Schedule


class Scheduler(pydantic.BaseModel):
    """Fields and conversions all samplers share, named as in diffusers' `scheduler_config.json`."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    num_train_timesteps: int = pydantic.Field(1000, ge=1)
    beta_start: float = pydantic.Field(0.0001, gt=0, lt=1)
    beta_end: float = pydantic.Field(0.02, gt=0, lt=1)
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "linear"
    trained_betas: tuple[float, ...] | None = None
    prediction_type: Literal["epsilon", "sample", "v_prediction"] = "epsilon"
    timestep_spacing: Literal["leading", "trailing", "linspace"] = "leading"
    steps_offset: int = pydantic.Field(0, ge=0)

    later: ClassVar[frozenset[str]] = frozenset()
    """Fields younger than recorded runs, left out of the scheduler's text at their default.

    A pipeline is named by that text, and a name must outlive a new field.
    """

    @pydantic.model_validator(mode="after")
    def _betas_fit(self) -> Self:
        if self.trained_betas is not None:
            if len(self.trained_betas) != self.num_train_timesteps:
                raise ValueError(
                    f"trained_betas has {len(self.trained_betas)} entries;"
                    f" num_train_timesteps is {self.num_train_timesteps}"
                )
            if not all(0 < beta < 1 for beta in self.trained_betas):
                raise ValueError("trained_betas must all lie between 0 and 1")
        return self

    def plan(self, n_steps: int) -> Schedule:
        """The trajectory of `n_steps` steps, computed in float64.

        Raises:
            ValueError: a step count this scheduler cannot make.
        """
        raise NotImplementedError

    @property
    def abar(self) -> Float[np.ndarray, " T"]:
        """Share of signal power left, prod(1 - beta), float64 (Ho et al. 2020, section 2)."""
        return _abar(
            self.num_train_timesteps,
            self.beta_start,
            self.beta_end,
            self.beta_schedule,
            self.trained_betas,
        )

    @property
    def sigmas(self) -> Float[np.ndarray, " T"]:
        """Noise over signal, sqrt((1 - abar) / abar) (Karras et al. 2022, section 2)."""
        return np.sqrt((1 - self.abar) / self.abar)

    def add_noise(
        self, x0: Float[Array, "B ..."], noise: Float[Array, "B ..."], t: Int[Array, " B"]
    ) -> Float[Array, "B ..."]:
        """sqrt(abar_t) x0 + sqrt(1 - abar_t) noise (Ho et al. 2020, eq. 4)."""
        signal, sigma = self._at(t, x0)
        return signal * x0 + sigma * noise

    def target(
        self, x0: Float[Array, "B ..."], noise: Float[Array, "B ..."], t: Int[Array, " B"]
    ) -> Float[Array, "B ..."]:
        """What a model of this prediction type should answer: the noise, x0, or the velocity."""
        if self.prediction_type == "epsilon":
            return noise
        return x0 if self.prediction_type == "sample" else self.velocity(x0, noise, t)

    def velocity(
        self, x0: Float[Array, "B ..."], noise: Float[Array, "B ..."], t: Int[Array, " B"]
    ) -> Float[Array, "B ..."]:
        """sqrt(abar_t) noise - sqrt(1 - abar_t) x0 (Salimans & Ho 2022, section 4)."""
        signal, sigma = self._at(t, x0)
        return signal * noise - sigma * x0

    def _at(self, t: Int[Array, " B"], like: Array) -> tuple[Array, Array]:
        """sqrt(abar_t) and sqrt(1 - abar_t), shaped to multiply `like`."""
        shape = (-1,) + (1,) * (like.ndim - 1)
        t = jnp.broadcast_to(jnp.asarray(t), like.shape[:1])
        signal, sigma = (
            jnp.asarray(np.sqrt(a), like.dtype)[t].reshape(shape)
            for a in (self.abar, 1 - self.abar)
        )
        return signal, sigma

    def _spaced(self, n_steps: int) -> Int[np.ndarray, " N"]:
        """Timesteps by `timestep_spacing` (Lin et al. 2024, table 2), falling."""
        total = self.num_train_timesteps
        steps: np.ndarray
        self._in_range(n_steps)
        match self.timestep_spacing:
            case "linspace":
                steps = np.linspace(0, total - 1, n_steps).round()[::-1]
            case "leading":
                steps = np.arange(n_steps)[::-1] * (total // n_steps) + self.steps_offset
            case "trailing":
                steps = np.round(np.arange(total, 0, -total / n_steps)) - 1
        return self._checked(steps, n_steps)

    def _in_range(self, n_steps: int) -> None:
        total = self.num_train_timesteps
        if not 1 <= n_steps <= total:
            raise ValueError(
                f"n_steps={n_steps} must lie between 1 and num_train_timesteps={total}"
            )

    def _checked(self, steps: np.ndarray, n_steps: int) -> Int[np.ndarray, " N"]:
        steps = steps.astype(np.int32)
        what = (
            f"n_steps={n_steps} with {self.timestep_spacing} spacing"
            f" and steps_offset={self.steps_offset}"
        )
        if steps.min() < 0 or steps.max() >= self.num_train_timesteps:
            raise ValueError(
                f"{what} asks for timesteps {steps.min()} to {steps.max()},"
                f" outside 0 to {self.num_train_timesteps - 1}"
            )
        if len(np.unique(steps)) != len(steps):
            raise ValueError(f"{what} asks for a timestep twice; take fewer steps")
        return steps

    def _predictions(self, abar: float) -> dict[str, float]:
        """Columns that turn the output into x0 and eps, at signal share `abar`.

        Raises:
            ValueError: noise predicted where no signal is left to be told from it.
        """
        if self.prediction_type == "epsilon" and abar == 0:
            raise ValueError(
                "prediction_type=epsilon says nothing about the image at zero signal; with"
                " rescale_betas_zero_snr use v_prediction, or a spacing that leaves out the last"
                " timestep"
            )
        signal, sigma = math.sqrt(abar), math.sqrt(1 - abar)
        if self.prediction_type == "epsilon":
            values = (1 / signal, -sigma / signal, 0.0, 1.0)
        elif self.prediction_type == "sample":
            values = (0.0, 1.0, 1 / sigma, -signal / sigma)
        else:
            values = (signal, -sigma, sigma, signal)
        return dict(zip(("x0_x", "x0_output", "eps_x", "eps_output"), values, strict=True))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            if name in self.later and value == type(self).model_fields[name].default:
                continue
            yield name, value


class RescalableScheduler(Scheduler):
    """A sampler whose noise may be rescaled to end without any signal."""

    rescale_betas_zero_snr: bool = False
    """Whether the last timestep is pure noise (Lin et al. 2024, algorithm 1)."""

    later: ClassVar[frozenset[str]] = frozenset({"rescale_betas_zero_snr"})
    least_abar: ClassVar[float] = 0.0
    """Signal left at the last timestep after rescaling; above zero where sigma must be finite."""

    @property
    def abar(self) -> Float[np.ndarray, " T"]:
        """Share of signal power left, float64; rescaled if so set (Lin et al. 2024, alg. 1)."""
        abar = super().abar
        if not self.rescale_betas_zero_snr:
            return abar
        signal = np.sqrt(abar)
        rescaled = ((signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])) ** 2
        rescaled[-1] = self.least_abar
        return np.asarray(rescaled)


@functools.lru_cache(maxsize=32)
def _abar(
    total: int, start: float, end: float, schedule: str, trained: tuple[float, ...] | None
) -> Float[np.ndarray, " T"]:
    if trained is not None:
        betas = np.asarray(trained, np.float64)
    elif schedule == "linear":
        betas = np.linspace(start, end, total)
    elif schedule == "scaled_linear":
        betas = np.linspace(start**0.5, end**0.5, total) ** 2
    else:  # Nichol & Dhariwal 2021, eq. 17, with beta capped
        edges = np.cos((np.arange(total + 1) / total + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - edges[1:] / edges[:-1], 0.999)
    abar = np.cumprod(1 - betas)
    abar.flags.writeable = False
    return abar
