"""A user's own folder of pictures as a dataset."""

import hashlib
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.datasets.card import Card
from workbench.datasets.dataset import LARGEST, Dataset, DatasetError, Images, require_whole

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
LARGEST_PICTURE = 64_000_000
"""Pixels. A small file can unfold to a picture that fills memory; this is said before decoding."""


class AskedPictures(DatasetError):
    """Pictures that can be taken once it is said how.

    Args:
        what: the file, and what is wrong with it.
        how: what to say, in the words of `image_folder`; a command has words of its own.
    """

    def __init__(self, what: str, how: str):
        super().__init__(f"{what}; {how}")
        self.what = what


class SmallPicture(AskedPictures):
    """A picture smaller than what is made of it."""


class MixedColours(AskedPictures):
    """Grey pictures among those of colour."""


_GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"}


def image_folder(
    path: str | Path,
    size: int,
    *,
    channels: int | None = None,
    enlarge: bool = False,
    test_share: float = 0.2,
) -> Dataset[Images]:
    """The pictures of a folder, each cut to its central square and resized.

    Sub-folders are classes. Without any, there is one kind of picture and labels are 0. Exact
    repeats are dropped.

    Args:
        path: the folder; hidden files and files that are no pictures by name are passed over.
        size: side of the result, pixels.
        channels: 1 grey, 3 colour; None takes what all pictures agree on.
        enlarge: allow pictures smaller than `size`, enlarged by bicubic interpolation.
        test_share: share of each class held out, chosen by hash of the file name.

    Raises:
        DatasetError: no folder, no pictures, a single class, a picture that is unreadable, too
            small or too large, or grey and colour mixed without `channels`.
    """
    folder = Path(path)
    require_whole(size=size)
    if channels not in (None, 1, 3):
        raise DatasetError(f"channels={channels} must be 1 (grey), 3 (colour) or None")
    if not 0 < test_share < 1:
        raise DatasetError(f"test_share={test_share} must lie between 0 and 1")
    files = _find(folder)
    classes = _classes(folder, files)
    if len(files) * size * size * (channels or 3) > LARGEST:
        raise DatasetError(
            f"{folder}: {len(files)} pictures at size={size} exceed {LARGEST >> 30} GiB in "
            "memory; take a smaller size or fewer pictures"
        )
    opened = {file: _open(file, size, channels, enlarge) for file in files}
    depth = channels or _agreed_channels(opened)
    kept, repeats = _without_repeats({file: one.pixels for file, one in opened.items()}, folder)
    names = [file.relative_to(folder).as_posix() for file in kept]
    labels = np.array(
        [classes.index(file.relative_to(folder).parts[0]) if classes else 0 for file in kept],
        np.int32,
    )
    held_out = _held_out(names, labels, test_share, classes, folder)
    images = np.stack([opened[file].pixels for file in kept])[..., :depth]
    source = np.array(names, dtype=np.str_)
    train, test = (
        Images(images[side], labels[side], source[side]) for side in (~held_out, held_out)
    )
    card = Card(
        title=f"Pictures of {folder.name}, {size}×{size}",
        source=f"the folder {folder.name}, {len(files)} pictures",
        licence="the user's own",
        done=f"central square, resized to {size}×{size}"
        + ("; smaller ones enlarged by bicubic interpolation: no detail was added" * enlarge)
        + f"; {repeats} exact repeats dropped" * bool(repeats),
        split=f"{test_share:.0%} of each class by hash of the file name",
        sizes=f"{len(train)} train, {len(test)} test, {size}×{size}×{depth}, "
        + (f"{len(classes)} classes" if classes else "no classes"),
        unique_bytes=images.size,
        notes="Near repeats (the same scene twice) are not recognised and may part over the split.",
    )
    name = f"folder-{folder.name}-{size}"
    return Dataset(name, card, train, test, label_names=tuple(classes))


def smallest_picture(path: str | Path) -> tuple[Path, int]:
    """The picture of a folder with the shortest side, and that side [pixels]; none is decoded.

    Args:
        path: the folder, as for `image_folder`.

    Raises:
        DatasetError: no folder, no pictures, or none that is readable.
    """
    sides = {file: side for file in _find(Path(path)) if (side := _side(file)) is not None}
    if not sides:
        raise DatasetError(f"{path}: none of its pictures is readable")
    return min(sides.items(), key=lambda one: one[1])


def _side(file: Path) -> int | None:
    """The shorter side [pixels]; None where the head of the file cannot be read."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as picture:
                return min(picture.size)
    except Exception:  # `image_folder` says what is wrong with it
        return None


@dataclass(frozen=True)
class _Opened:
    pixels: np.ndarray  # uint8 [size, size, 3 or as asked]
    grey: bool


def _find(folder: Path) -> list[Path]:
    if not folder.exists():
        raise DatasetError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise DatasetError(f"{folder}: is a file; give the folder that holds the pictures")
    files = []
    for parent, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        files += [
            Path(parent, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    if not files:
        raise DatasetError(
            f"{folder}: no pictures here; looked for {', '.join(sorted(SUFFIXES))}, "
            "sub-folders included"
        )
    return sorted(files)


def _classes(folder: Path, files: list[Path]) -> list[str]:
    inside = [file.relative_to(folder).parts for file in files]
    classes = sorted({parts[0] for parts in inside if len(parts) > 1})
    if not classes:
        return []
    loose = [parts[0] for parts in inside if len(parts) == 1]
    if loose:
        raise DatasetError(
            f"{folder}: pictures both in sub-folders ({classes[0]}, …) and beside them "
            f"({loose[0]}, …); sub-folders are classes, so put every picture in one"
        )
    if len(classes) == 1:
        raise DatasetError(
            f"{folder}: only one class, {classes[0]!r}; add a second sub-folder, or give "
            f"{folder / classes[0]} itself for pictures without classes"
        )
    return classes


def _open(file: Path, size: int, channels: int | None, enlarge: bool) -> _Opened:
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            # Pillow's own bomb warning comes later than the limit below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(file)
        with picture:
            if picture.width * picture.height > LARGEST_PICTURE:
                raise DatasetError(
                    f"{file}: {picture.width}×{picture.height} is beyond "
                    f"{LARGEST_PICTURE // 10**6} million pixels; make it smaller first"
                )
            grey = picture.mode in _GREY_MODES
            upright = ImageOps.exif_transpose(_eight_bits(picture))
    except DatasetError:
        raise
    except Image.DecompressionBombError as error:
        raise DatasetError(f"{file}: far too large a picture ({error})") from error
    except Exception as error:  # decoders of broken files raise nearly anything
        raise DatasetError(f"{file}: not a readable picture ({error})") from error
    if min(upright.size) < size and not enlarge:
        raise SmallPicture(
            f"{file}: {upright.width}×{upright.height} is smaller than size={size}",
            "take a smaller size, or enlarge=True, which adds no detail",
        )
    mode = "L" if channels == 1 else "RGB"
    square = ImageOps.fit(upright.convert(mode), (size, size), Image.Resampling.BICUBIC)
    return _Opened(np.asarray(square).reshape(size, size, -1), grey)


def _eight_bits(picture: "Image.Image") -> "Image.Image":
    """The decoded picture with 8 bits a channel, transparency laid over white."""
    from PIL import Image

    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in {"I", "F"}:
        raise DatasetError(
            f"{getattr(picture, 'filename', 'picture')}: {picture.mode} pixels (32 bits) have no "
            "agreed white; save it with 8 or 16 bits"
        )
    if picture.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in picture.info:
        over = picture.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        flat = Image.alpha_composite(white, over).convert("RGB")
        flat.info.update({k: v for k, v in picture.info.items() if k == "exif"})
        return flat
    picture.load()
    return picture


def _agreed_channels(opened: dict[Path, _Opened]) -> int:
    grey = [file for file, one in opened.items() if one.grey]
    colour = [file for file, one in opened.items() if not one.grey]
    if grey and colour:
        raise MixedColours(
            f"grey and colour pictures are mixed: {grey[0]} is grey, {colour[0]} has colour",
            "say channels=1 or channels=3",
        )
    return 1 if grey else 3


def _without_repeats(pixels: dict[Path, np.ndarray], folder: Path) -> tuple[list[Path], int]:
    first: dict[bytes, Path] = {}
    for file, array in pixels.items():
        before = first.setdefault(hashlib.sha256(array.tobytes()).digest(), file)
        if (
            before.parent != file.parent
            and before.relative_to(folder).parts[0] != (file.relative_to(folder).parts[0])
        ):
            raise DatasetError(f"{before} and {file} are the same picture in two classes")
    return list(first.values()), len(pixels) - len(first)


def _held_out(
    names: list[str], labels: np.ndarray, share: float, classes: list[str], folder: Path
) -> np.ndarray:
    held_out = np.zeros(len(names), bool)
    for label in range(max(len(classes), 1)):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            what = f"class {classes[label]!r} has" if classes else "there is"
            raise DatasetError(
                f"{folder}: {what} {len(members)} picture without its repeats; at least 2 are "
                "needed, one to train and one to test"
            )
        order = sorted(members, key=lambda i: hashlib.sha256(names[i].encode()).digest())
        count = min(max(1, math.floor(share * len(members) + 0.5)), len(members) - 1)
        held_out[order[:count]] = True
    return held_out
