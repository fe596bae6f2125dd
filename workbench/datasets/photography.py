"""Crops of the real pictures that ship inside the scikit-image and scikit-learn wheels.

Nothing is downloaded: only files that are in the wheels are named here. Whole pictures are held
out, never crops of a picture that was trained on, and the two halves of the stereo pair stand
on one side. Synthetic pictures (checkerboards, colour wheel, phantom, logo) are left out, and so
are `page` and `text`, which `text_pages` keeps for testing only.
"""

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.datasets.card import Card
from workbench.datasets.dataset import LARGEST, Dataset, DatasetError, Images, require_whole


@dataclass(frozen=True)
class Photograph:
    """One picture: where it lies, whether it has colour, its side of the split, its licence."""

    name: str
    file: str
    colour: bool
    test: bool
    licence: str


_CC0 = "CC0"
_FREE = "no known copyright restrictions"
_BY = "CC BY 2.0"

PHOTOGRAPHS: tuple[Photograph, ...] = (
    Photograph("astronaut", "skimage/data/astronaut.png", True, False, "public domain (NASA)"),
    Photograph("chelsea", "skimage/data/chelsea.png", True, True, _CC0),
    Photograph("china", "sklearn/datasets/images/china.jpg", True, False, _BY),
    Photograph("coffee", "skimage/data/coffee.png", True, False, _CC0),
    Photograph("flower", "sklearn/datasets/images/flower.jpg", True, True, _BY),
    Photograph("hubble", "skimage/data/hubble_deep_field.jpg", True, False, "public domain (NASA)"),
    Photograph("ihc", "skimage/data/ihc.png", True, False, _FREE),
    Photograph("motorcycle-left", "skimage/data/motorcycle_left.png", True, False, "Middlebury"),
    Photograph("motorcycle-right", "skimage/data/motorcycle_right.png", True, False, "Middlebury"),
    Photograph("retina", "skimage/data/retina.jpg", True, False, _CC0),
    Photograph("rocket", "skimage/data/rocket.jpg", True, False, "public domain (SpaceX)"),
    Photograph("brick", "skimage/data/brick.png", False, False, _CC0),
    Photograph("camera", "skimage/data/camera.png", False, False, _CC0),
    Photograph("cell", "skimage/data/cell.png", False, False, _CC0),
    Photograph("clock", "skimage/data/clock_motion.png", False, False, "public domain"),
    Photograph("coins", "skimage/data/coins.png", False, True, _FREE),
    Photograph("grass", "skimage/data/grass.png", False, False, _CC0),
    Photograph("gravel", "skimage/data/gravel.png", False, False, _CC0),
    Photograph("moon", "skimage/data/moon.png", False, False, "not stated by scikit-image"),
)


def photographs(
    crop: int = 64,
    *,
    stride: int | None = None,
    count: int | None = None,
    seed: int = 0,
    shrink: int = 1,
    colour: bool = True,
    names: Sequence[str] | None = None,
) -> Dataset[Images]:
    """Square crops of real photographs, the label saying which photograph.

    Args:
        crop: side of a crop, pixels.
        stride: pixels from one crop to the next; None is `crop`, so that none overlap.
        count: at most this many crops for each of train and test, drawn without repetition;
            None keeps all.
        seed: which crops `count` draws.
        shrink: photographs are first made smaller by this whole factor (mean of each block).
        colour: True takes the 11 colour pictures, 3 channels; False takes these and the 8 grey
            ones, all as grey, 1 channel.
        names: only these pictures.

    Raises:
        DatasetError: a value out of range, an unknown name, or no picture left on a side.
    """
    stride = crop if stride is None else stride
    require_whole(crop=crop, stride=stride, shrink=shrink, count=count)
    require_whole(0, seed=seed)
    chosen = _choose(colour, names)
    sides = {
        test: _crops(
            [p for p in chosen if p.test == test], crop, stride, shrink, colour, count, seed
        )
        for test in (False, True)
    }
    kept = [p.name for p in PHOTOGRAPHS if p.name in {q.name for q in chosen}]
    train, test = (
        Images(images, np.array([kept.index(n) for n in source], np.int32), source)
        for images, source in (sides[False], sides[True])
    )
    grey = ", ".join(p.name for p in PHOTOGRAPHS if not p.colour)
    held_out = ", ".join(p.name for p in chosen if p.test)
    card = Card(
        title=f"Crops of real photographs, {crop}×{crop}",
        source="pictures inside the scikit-image and scikit-learn packages: " + ", ".join(kept),
        licence="; ".join(f"{p.name}: {p.licence}" for p in chosen),
        done=f"crops of {crop}×{crop} every {stride} pixels"
        + (f" after shrinking by {shrink} (block mean)" if shrink > 1 else "")
        + ("" if colour else "; colour pictures turned to grey (ITU-R 601 luma)"),
        split=f"by picture: {held_out} are test; the stereo pair (motorcycle) is train",
        sizes=f"{len(train)} train, {len(test)} test, {crop}×{crop}×{3 if colour else 1}, "
        f"from {len(chosen)} pictures",
        unique_bytes=sum(_pixels(p, colour, shrink).size for p in chosen),
        notes=(f"Grey pictures left out: {grey}. " if colour else "")
        + "Few pictures, so a large part of any model's score is these scenes. The stereo pair "
        "shows one scene twice; hubble and the corners of retina are mostly black.",
    )
    name = f"photographs-{crop}-every{stride}-shrink{shrink}-{'colour' if colour else 'grey'}"
    name += "" if count is None else f"-{count}of{seed}"
    return Dataset(name, card, train, test, label_names=tuple(kept))


def _choose(colour: bool, names: Sequence[str] | None) -> list[Photograph]:
    chosen = [p for p in PHOTOGRAPHS if p.colour or not colour]
    if names is not None:
        known = [p.name for p in chosen]
        for name in names:
            if name not in known:
                raise DatasetError(f"names has {name!r}; with colour={colour}: {', '.join(known)}")
        chosen = [p for p in chosen if p.name in names]
    for test, side in ((False, "train"), (True, "test")):
        if not any(p.test == test for p in chosen):
            there = ", ".join(p.name for p in PHOTOGRAPHS if p.test == test)
            raise DatasetError(f"names leaves no picture for {side}; add one of {there}")
    return chosen


def _crops(
    pictures: list[Photograph],
    crop: int,
    stride: int,
    shrink: int,
    colour: bool,
    count: int | None,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Crops [N, crop, crop, C] and the picture each is from."""
    across, totals = [], []
    for picture in pictures:
        height, width, _ = _pixels(picture, colour, shrink).shape
        if min(height, width) < crop:
            raise DatasetError(
                f"crop={crop} is larger than {picture.name}, {width}×{height} after "
                f"shrink={shrink}; take a smaller crop or leave it out with names="
            )
        across.append((width - crop) // stride + 1)
        totals.append(((height - crop) // stride + 1) * across[-1])
    chosen = _draw(sum(totals), count, seed)
    channels = 3 if colour else 1
    if len(chosen) * crop * crop * channels > LARGEST:
        raise DatasetError(
            f"stride={stride} gives {len(chosen)} crops of {crop}×{crop}, more than "
            f"{LARGEST >> 30} GiB; take a larger stride or a count"
        )
    first = np.cumsum([0, *totals])
    owner = np.searchsorted(first, chosen, side="right") - 1
    images = np.empty((len(chosen), crop, crop, channels), np.uint8)
    for slot, which, place in zip(images, owner, chosen - first[owner], strict=True):
        top, left = (int(i) * stride for i in divmod(place, across[which]))
        slot[:] = _pixels(pictures[which], colour, shrink)[top : top + crop, left : left + crop]
    return images, np.array([picture.name for picture in pictures])[owner]


def _draw(total: int, count: int | None, seed: int) -> np.ndarray:
    """Which of `total` crops to keep, in order."""
    if count is None or count >= total:
        return np.arange(total)
    raw = np.random.Philox(key=np.array([seed, 0], np.uint64)).random_raw(total)
    return np.sort(np.argsort(raw, kind="stable")[:count])


@functools.lru_cache(maxsize=64)
def _pixels(picture: Photograph, colour: bool, shrink: int) -> np.ndarray:
    """The whole picture, uint8 [H, W, C]."""
    pixels = read_packaged(picture.file, "RGB" if colour else "L")
    height, width = (side // shrink for side in pixels.shape[:2])
    if shrink == 1 or min(height, width) == 0:
        return pixels[:height, :width]
    blocks = pixels[: height * shrink, : width * shrink].astype(np.float32)
    blocks = blocks.reshape(height, shrink, width, shrink, -1)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def read_packaged(file: str, mode: str) -> np.ndarray:
    """A picture inside an installed package, uint8 [H, W, C]; the package is not imported.

    Args:
        file: path that begins with the package's name.
        mode: Pillow's `"RGB"` or `"L"`.
    """
    from PIL import Image

    package, _, inner = file.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        distribution = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[package]
        raise DatasetError(f"{file} needs {distribution}: pip install {distribution}")
    path = Path(spec.origin).parent / inner
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert(mode))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error
    return pixels.reshape(*pixels.shape[:2], -1)
