"""Second-order degradation of a picture (Wang et al. 2021, Real-ESRGAN, figure 2), on the host.

Blur, resize, noise, JPEG; blur, resize, noise; then, either first, JPEG and the reduction to a
quarter with a low pass. Nothing sharpens. The result follows from picture, knobs and generator.
"""

from __future__ import annotations

import io
import math

import numpy as np
from jaxtyping import Float
from scipy.ndimage import correlate

from workbench.diffusion.super_resolution import blur_kernels
from workbench.diffusion.super_resolution.degradation import Degradation, Stage
from workbench.diffusion.super_resolution.forms import LEAST_SIDE
from workbench.diffusion.super_resolution.resizing import MODES, resized

SCALE = 4
"""Reduction of height and width."""
SHORT_KERNEL = 13
"""From this size on a low pass may be wider: its cut-off begins at π/5 in place of π/3."""

Picture = Float[np.ndarray, "H W 3"]
Small = Float[np.ndarray, "h w 3"]


def degraded(picture: Picture, knobs: Degradation, generator: np.random.Generator) -> Small:
    """A quarter of a picture's size, as a poor camera and two uploads would leave it.

    Args:
        picture: in [0, 1]; height and width multiples of 4.
        knobs: how much of what.
        generator: all that is drawn is drawn from it.

    Returns:
        float32 in [0, 1], in steps of 1/255.

    Raises:
        ValueError: a grey or small picture, or a side that 4 does not divide.
    """
    check_picture(picture)
    size = picture.shape[0] // SCALE, picture.shape[1] // SCALE
    first, second = knobs.stage("first"), knobs.stage("second")
    now = _blurred(np.asarray(picture, np.float32), knobs, first, generator)
    now = _resized(now, picture.shape[:2], first, generator)
    now = jpeg(noisy(now, first, generator), _between(first.jpeg, generator))
    now = _blurred(now, knobs, second, generator)
    now = _resized(now, size, second, generator)
    now = noisy(now, second, generator)
    quality, mode = _between(second.jpeg, generator), MODES[generator.integers(len(MODES))]
    kernel = _low_pass(knobs, generator) if generator.random() < knobs.final_sinc else None
    if generator.random() < 0.5:
        now = jpeg(_filtered(resized(now, size, mode), kernel), quality)
    else:
        now = _filtered(resized(jpeg(now, quality), size, mode), kernel)
    return rounded(now)


def check_picture(picture: np.ndarray) -> None:
    """Refuses what cannot be a picture in colour that a quarter can be made of.

    Raises:
        ValueError: names the shape, and what is needed.
    """
    shape = np.shape(picture)
    if len(shape) != 3 or shape[-1] != 3:
        raise ValueError(f"picture has shape {shape}; needed [height, width, 3], in colour")
    if min(shape[:2]) < LEAST_SIDE:
        raise ValueError(f"picture is {shape[1]}×{shape[0]}; at least {LEAST_SIDE} pixels a side")
    if shape[0] % SCALE or shape[1] % SCALE:
        raise ValueError(
            f"picture is {shape[1]}×{shape[0]}; width and height must be multiples of {SCALE}"
        )


def drawn_kernel(
    knobs: Degradation, stage: Stage, generator: np.random.Generator
) -> Float[np.ndarray, "K K"]:
    """A blur kernel as the knobs have it."""
    if generator.random() < stage.sinc:
        return _low_pass(knobs, generator)
    size, chance = _kernel_size(knobs, generator), generator.random()
    plain = chance >= knobs.generalised + knobs.plateau
    turned = generator.random() < (knobs.turned if plain else knobs.shaped_turned)
    wide = _between(stage.spread, generator)
    spread = (wide, _between(stage.spread, generator) if turned else wide)
    turn = float(generator.uniform(-math.pi, math.pi)) if turned else 0.0
    if plain:
        return blur_kernels.gaussian(size, spread, turn)
    if chance < knobs.generalised:
        shape = _around_one((knobs.shape_low, knobs.shape_high), generator)
        return blur_kernels.gaussian(size, spread, turn, shape)
    shape = _around_one((knobs.plateau_low, knobs.plateau_high), generator)
    return blur_kernels.plateau(size, spread, turn, shape)


def noisy(picture: Small, stage: Stage, generator: np.random.Generator) -> Small:
    """Gaussian noise of one spread, or Poisson noise of the picture's own levels; within [0, 1]."""
    grey = generator.random() < stage.grey
    shape = (*picture.shape[:2], 1) if grey else picture.shape
    if generator.random() < stage.gaussian:
        noise = generator.standard_normal(shape) * _between(stage.noise, generator) / 255
    else:
        seen = rounded(picture.mean(axis=-1, keepdims=True) if grey else picture)
        levels = 2.0 ** math.ceil(math.log2(max(len(np.unique(seen)), 2)))
        drawn = generator.poisson(seen.astype(np.float64) * levels) / levels
        noise = (drawn - seen) * _between(stage.poisson, generator)
    return np.clip(picture + noise, 0, 1).astype(np.float32)


def jpeg(picture: Small, quality: float) -> Small:
    """Written as JPEG of this quality, and read again."""
    from PIL import Image

    buffer = io.BytesIO()
    pixels = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=round(quality))
    buffer.seek(0)
    with Image.open(buffer) as read:
        return np.asarray(read.convert("RGB"), np.float32) / 255


def rounded(picture: np.ndarray) -> np.ndarray:
    """In [0, 1] in steps of 1/255, float32."""
    return (np.rint(255 * np.clip(picture, 0, 1)) / 255).astype(np.float32)


def _blurred(
    picture: np.ndarray, knobs: Degradation, stage: Stage, generator: np.random.Generator
) -> np.ndarray:
    if generator.random() >= stage.blur:
        return picture
    return _filtered(picture, drawn_kernel(knobs, stage, generator))


def _filtered(picture: np.ndarray, kernel: np.ndarray | None) -> np.ndarray:
    if kernel is None:
        return picture
    return correlate(picture, kernel[:, :, None].astype(np.float32), mode="mirror")


def _resized(
    picture: np.ndarray, size: tuple[int, ...], stage: Stage, generator: np.random.Generator
) -> np.ndarray:
    """To some multiple of `size`, by a mode that is drawn."""
    chance = generator.random()
    if chance < stage.up:
        factor = generator.uniform(1, stage.resize[1])
    elif chance < stage.up + stage.down:
        factor = generator.uniform(stage.resize[0], 1)
    else:
        factor = 1.0
    mode = MODES[generator.integers(len(MODES))]
    height, width = (max(1, int(side * factor)) for side in size)
    return resized(picture, (height, width), mode)


def _low_pass(knobs: Degradation, generator: np.random.Generator) -> np.ndarray:
    size = _kernel_size(knobs, generator)
    least = math.pi / (3 if size < SHORT_KERNEL else 5)
    return blur_kernels.sinc(size, float(generator.uniform(least, math.pi)))


def _kernel_size(knobs: Degradation, generator: np.random.Generator) -> int:
    return int(generator.choice(np.arange(knobs.kernel_low, knobs.kernel_high + 1, 2)))


def _between(pair: tuple[float, float], generator: np.random.Generator) -> float:
    return float(generator.uniform(*pair))


def _around_one(pair: tuple[float, float], generator: np.random.Generator) -> float:
    """Below one as often as above, where the range has both sides."""
    low, high = pair
    if low < 1 < high:
        return _between((low, 1.0) if generator.random() < 0.5 else (1.0, high), generator)
    return _between(pair, generator)
