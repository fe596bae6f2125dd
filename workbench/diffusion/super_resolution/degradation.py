"""The knobs of second-order degradation (Wang et al. 2021, Real-ESRGAN).

TVT's own file of probabilities is not public; the defaults are Real-ESRGAN's public ones.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import pydantic

from workbench.study.knobs import Knobs, knob

SOURCE = "Real-ESRGAN, public training options"


class Stage(NamedTuple):
    """The numbers of one round of blur, resize, noise and JPEG; pairs are lowest and highest."""

    blur: float
    sinc: float
    spread: tuple[float, float]
    up: float
    down: float
    resize: tuple[float, float]
    gaussian: float
    noise: tuple[float, float]
    poisson: tuple[float, float]
    grey: float
    jpeg: tuple[float, float]


def _share(default: float, help: str) -> float:
    value: float = knob(default, ge=0, le=1, step=0.05, help=help, source=SOURCE)
    return value


def _amount(default: float, low: float, high: float, help: str, unit: str = "") -> float:
    value: float = knob(default, ge=low, le=high, unit=unit, help=help, source=SOURCE)
    return value


class Degradation(Knobs):
    """How a sharp picture becomes the one that is to be restored."""

    kernel_low: int = knob(7, ge=3, le=21, unit="pixels", help="Smallest blur kernel; odd.")
    kernel_high: int = knob(21, ge=3, le=51, unit="pixels", help="Largest blur kernel; odd.")
    turned: float = _share(0.357, "Share of Gaussian kernels with two spreads and a turn.")
    shaped_turned: float = _share(0.2, "The same share of generalised Gaussians and plateaus.")
    generalised: float = _share(0.15, "Share of kernels that are generalised Gaussians.")
    plateau: float = _share(0.15, "Share of kernels with a plateau.")
    shape_low: float = _amount(0.5, 0.1, 8, "Least exponent of generalised Gaussians.")
    shape_high: float = _amount(4.0, 0.1, 8, "Largest exponent of generalised Gaussians.")
    plateau_low: float = _amount(1.0, 0.1, 8, "Least exponent of plateaus.")
    plateau_high: float = _amount(2.0, 0.1, 8, "Largest exponent of plateaus.")

    first_blur: float = _share(1.0, "Share of pictures the first round blurs.")
    first_sinc: float = _share(0.1, "Share of the first blurs that are low passes.")
    first_spread_low: float = _amount(0.2, 0.05, 10, "Least spread of the first blur.", "pixels")
    first_spread_high: float = _amount(3.0, 0.05, 10, "Largest spread of the first.", "pixels")
    first_up: float = _share(0.2, "Share enlarged in the first round.")
    first_down: float = _share(0.7, "Share reduced in the first round.")
    first_resize_low: float = _amount(0.15, 0.05, 1, "Least size after the first.", "×")
    first_resize_high: float = _amount(1.5, 1, 4, "Largest size after the first.", "×")
    first_gaussian: float = _share(0.5, "Share with Gaussian noise, the rest Poisson, at first.")
    first_noise_low: float = _amount(1, 0, 100, "Least spread of the first noise.", "of 255")
    first_noise_high: float = _amount(30, 0, 100, "Largest spread of the first.", "of 255")
    first_poisson_low: float = _amount(0.05, 0, 10, "Least strength of the first Poisson noise.")
    first_poisson_high: float = _amount(3.0, 0, 10, "Largest strength of the first.")
    first_grey: float = _share(0.4, "Share of noise that is equal in all colours, at first.")
    first_jpeg_low: float = _amount(30, 1, 95, "Least quality of the first JPEG.")
    first_jpeg_high: float = _amount(95, 1, 95, "Best quality of the first JPEG.")

    second_blur: float = _share(0.8, "Share of pictures the second round blurs.")
    second_sinc: float = _share(0.1, "Share of the second blurs that are low passes.")
    second_spread_low: float = _amount(0.2, 0.05, 10, "Least spread of the second.", "pixels")
    second_spread_high: float = _amount(1.5, 0.05, 10, "Largest spread of the second.", "pixels")
    second_up: float = _share(0.3, "Share enlarged in the second round.")
    second_down: float = _share(0.4, "Share reduced in the second round.")
    second_resize_low: float = _amount(0.3, 0.05, 1, "Least size after the second.", "×")
    second_resize_high: float = _amount(1.2, 1, 4, "Largest size after the second.", "×")
    second_gaussian: float = _share(0.5, "Share with Gaussian noise, the rest Poisson, then.")
    second_noise_low: float = _amount(1, 0, 100, "Least spread of the second noise.", "of 255")
    second_noise_high: float = _amount(25, 0, 100, "Largest spread of the second.", "of 255")
    second_poisson_low: float = _amount(0.05, 0, 10, "Least strength of the second Poisson.")
    second_poisson_high: float = _amount(2.5, 0, 10, "Largest strength of the second.")
    second_grey: float = _share(0.4, "Share of noise that is equal in all colours, then.")
    second_jpeg_low: float = _amount(30, 1, 95, "Least quality of the last JPEG.")
    second_jpeg_high: float = _amount(95, 1, 95, "Best quality of the last JPEG.")
    final_sinc: float = _share(0.8, "Share with a low pass at the end.")

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in type(self).model_fields:
            low, high = getattr(self, name), None
            if name.endswith("_low"):
                high = getattr(self, name[:-4] + "_high")
            if high is not None and low > high:
                raise ValueError(f"{name}={low:g} must not be above {name[:-4]}_high={high:g}")
        for name in ("kernel_low", "kernel_high"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name}={getattr(self, name)} must be odd")
        for which in ("first", "second"):
            up, down = getattr(self, f"{which}_up"), getattr(self, f"{which}_down")
            if up + down > 1 + 1e-9:
                raise ValueError(
                    f"{which}_up={up:g} and {which}_down={down:g} must not pass 1 together"
                )
        if self.generalised + self.plateau > 1 + 1e-9:
            raise ValueError(
                f"generalised={self.generalised:g} and plateau={self.plateau:g} must not pass 1 "
                "together"
            )
        return self

    def stage(self, which: str) -> Stage:
        """The numbers of the "first" or the "second" round."""

        def one(name: str) -> float:
            value: float = getattr(self, f"{which}_{name}")
            return value

        def pair(name: str) -> tuple[float, float]:
            return one(f"{name}_low"), one(f"{name}_high")

        return Stage(
            one("blur"),
            one("sinc"),
            pair("spread"),
            one("up"),
            one("down"),
            pair("resize"),
            one("gaussian"),
            pair("noise"),
            pair("poisson"),
            one("grey"),
            pair("jpeg"),
        )


MILD = Degradation(
    kernel_high=11,
    first_spread_high=1.2,
    first_resize_low=0.6,
    first_resize_high=1.2,
    first_noise_high=6,
    first_poisson_high=0.4,
    first_jpeg_low=60,
    second_spread_high=0.8,
    second_resize_low=0.7,
    second_resize_high=1.1,
    second_noise_high=5,
    second_poisson_high=0.3,
    second_jpeg_low=60,
    final_sinc=0.4,
)
"""Ours, for pictures of 64 pixels: the public numbers leave nothing of so small a one."""
