"""Same seeds, every plan: the picture grid, and one seed in the split viewer."""

from __future__ import annotations

import functools
import io

import numpy as np

from workbench.figures.numbers import memory, number, seconds
from workbench.labs.diffusion.points import Point
from workbench.labs.diffusion.scene import Scene
from workbench.panels.picture import ImageRow, ImagesContent, SplitContent, Thumb

SHOWN = 8


def png(picture: np.ndarray) -> bytes:
    """One uint8 picture, [H, W] or [H, W, C], as a PNG file."""
    return _png(np.squeeze(picture).shape, picture.tobytes())


@functools.lru_cache(maxsize=256)
def _png(shape: tuple[int, ...], pixels: bytes) -> bytes:
    # A slider's move shows most pictures again.
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(shape)).save(file, format="PNG")
    return file.getvalue()


def grid(scene: Scene) -> ImagesContent | None:
    """A row per method, a column per seed; None before the baseline's pictures are there."""
    if scene.baseline.code() not in scene.pictures:
        return None
    reference = scene.pictures[scene.baseline.code()]
    rows = []
    for method in scene.methods:
        pictures = scene.pictures.get(method.code())
        if pictures is None:
            continue
        thumbs = [
            Thumb(
                png(picture),
                f"seed {seed}, {method.name}, {words}",
                f"{method.name}|{seed}",
                loads=method is not scene.baseline,
            )
            for seed, (picture, words) in enumerate(
                zip(pictures[:SHOWN], _likeness(reference, pictures), strict=True)
            )
        ]
        note = _note(scene.point(method), scene.base)
        rows.append(ImageRow(scene.slot(method), method.name, note, thumbs))
    return ImagesContent(
        title=f"Same seeds, {_words(len(rows))} plans",
        subtitle="Columns are seeds, classes in turn. Choose a picture to see it above.",
        columns=[str(seed) for seed in range(min(SHOWN, len(reference)))],
        rows=rows,
        chosen=f"{scene.look.name}|{scene.seed}",
    )


def split(scene: Scene) -> SplitContent | None:
    """The full run and the method looked at, one seed."""
    full = scene.pictures.get(scene.baseline.code())
    fast = scene.pictures.get(scene.look.code())
    if full is None or fast is None:
        return None
    left, right = full[scene.seed], fast[scene.seed]
    return SplitContent(
        title=f"Seed {scene.seed}, full against accelerated",
        pictures=(png(left), png(right)),
        tags=("Full", scene.look.name),
        caption=_measures(left, right),
    )


def _likeness(full: np.ndarray, other: np.ndarray) -> list[str]:
    """How like the full run's each picture is, in words for its name."""
    if full is other:
        return ["the reference"] * len(full[:SHOWN])
    full, other = full[:SHOWN], other[:SHOWN]
    return [f"SSIM {number(s)}" for s in _similarity(full.shape, full.tobytes(), other.tobytes())]


@functools.lru_cache(maxsize=64)
def _similarity(shape: tuple[int, ...], full: bytes, other: bytes) -> list[float]:
    from workbench.diffusion import fidelity

    one, two = (_unit(np.frombuffer(p, np.uint8).reshape(shape)) for p in (other, full))
    return [float(value) for value in fidelity.ssim(one, two)]


def _measures(left: np.ndarray, right: np.ndarray) -> list[tuple[str, str]]:
    from workbench.diffusion import fidelity

    one, other = _unit(right[None]), _unit(left[None])
    noise = float(fidelity.psnr(one, other)[0])
    same = noise >= fidelity.PSNR_CEILING
    return [
        ("PSNR", "identical" if same else f"{number(noise)} dB"),
        ("SSIM", number(float(fidelity.ssim(one, other)[0]))),
    ]


def _unit(pictures: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W] or [N, H, W, C] as [N, H, W, C] in [0, 1]."""
    shaped = pictures if pictures.ndim == 4 else pictures[..., None]
    return shaped.astype(np.float64) / 255


def _note(point: Point | None, base: Point | None) -> str:
    if point is None:
        return ""
    parts = []
    if point.seconds is not None and point.basis != "predicted":
        parts.append(seconds(point.seconds.value))
    if point is base or (base is not None and point.code == base.code):
        parts.append("reference")
    elif np.isfinite(point.ssim):
        parts.append(f"SSIM {number(point.ssim)}")
    if point.peak_bytes is not None:
        parts.append(memory(point.peak_bytes))
    return " · ".join(parts)


def _words(count: int) -> str:
    names = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return names[count] if count < len(names) else str(count)
