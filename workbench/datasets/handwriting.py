"""Handwritten digits that ship with scikit-learn: 1,797 real 8×8 pictures.

The file keeps its original order, and the order shows the forms the digits were written on: the
same run of labels (012345678901234567890123456789 0955650989841773510022 …) comes back 14 times,
each time 124 to 130 digits long. The data's description speaks of 13 people for this file, so at
least one of them filled two forms; which one is not recorded. Splitting between forms therefore
parts nearly all writers, with a doubt about one.
"""

import csv
import functools
import gzip
import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from workbench.datasets.card import Card
from workbench.datasets.dataset import Dataset, DatasetError, Images, require_whole

FORM_STARTS = (0, 130, 256, 386, 516, 646, 776, 905, 1029, 1157, 1287, 1415, 1543, 1667)
TEST_FORMS = 3
"""Forms held out from the end of the file: 382 digits, 21 %."""

SIZES = (8, 16, 32)
_CONTENT = "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2"


def digits(size: int = 16, split: str = "forms") -> Dataset[Images]:
    """Handwritten digits, one grey channel, background 0.

    Args:
        size: 8 is the original; 16 and 32 are enlarged by bicubic interpolation, which adds no
            detail.
        split: `"forms"` holds out the last three forms of the file (other writers, harder);
            `"stratified"` holds out every fifth digit of each class (the same writers on both
            sides, easier).

    Raises:
        DatasetError: another size or split.
    """
    require_whole(size=size)
    if size not in SIZES:
        raise DatasetError(f"size={size} must be one of {SIZES}")
    if split not in ("forms", "stratified"):
        raise DatasetError(f"split={split!r} must be 'forms' or 'stratified'")
    values, labels = _read()
    images = _enlarge(values, size)
    form = np.searchsorted(FORM_STARTS, np.arange(len(labels)), side="right") - 1
    source = np.array([f"form {f:02}, digit {i:04}" for i, f in enumerate(form)])
    if split == "forms":
        held_out = form >= len(FORM_STARTS) - TEST_FORMS
        rule = (
            f"by form: the last {TEST_FORMS} of the file's 14 forms are test. 13 people wrote "
            "them, so one may stand on both sides"
        )
    else:
        held_out = _every_fifth(labels)
        rule = "every fifth digit of each class is test; writers stand on both sides"
    train, test = (
        Images(images[side], labels[side], source[side]) for side in (~held_out, held_out)
    )
    done = "8×8 originals, counts 0..16 spread over 0..255"
    if size > 8:
        done += f", enlarged to {size}×{size} by bicubic interpolation: no detail was added"
    card = Card(
        title=f"Handwritten digits, {size}×{size}",
        source="scikit-learn load_digits: the test part of the UCI optical digits data "
        "(E. Alpaydin, C. Kaynak, 1998)",
        licence="CC BY 4.0 (UCI Machine Learning Repository)",
        done=done,
        split=rule,
        sizes=f"{len(train)} train, {len(test)} test, {size}×{size}×1, 10 classes",
        unique_bytes=values.size,
    )
    name = f"digits-{size}" + ("" if split == "forms" else f"-{split}")
    return Dataset(name, card, train, test, label_names=tuple("0123456789"))


def _every_fifth(labels: np.ndarray) -> np.ndarray:
    held_out = np.zeros(len(labels), bool)
    for label in range(10):
        held_out[np.flatnonzero(labels == label)[4::5]] = True
    return held_out


@functools.lru_cache(maxsize=1)
def _read() -> tuple[np.ndarray, np.ndarray]:
    """Counts uint8 [1797, 8, 8] and labels int32 [1797], from scikit-learn's own file."""
    # Read where it lies: importing scikit-learn for it would take a second.
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DatasetError("digits need scikit-learn: pip install scikit-learn")
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.array([[float(cell) for cell in row] for row in csv.reader(file)])
    except (OSError, EOFError, ValueError) as error:
        raise DatasetError(f"{path}: scikit-learn's digits cannot be read ({error})") from error
    table = table.astype(np.uint8)
    if hashlib.sha256(table.tobytes()).hexdigest() != _CONTENT:
        raise DatasetError(
            f"{path}: not the 1,797 digits this split was documented for; "
            "install scikit-learn as pinned in constraints.txt"
        )
    return table[:, :64].reshape(-1, 8, 8), table[:, 64].astype(np.int32)


def _enlarge(values: np.ndarray, size: int) -> np.ndarray:
    """uint8 [N, size, size, 1] in 0..255 from counts in 0..16."""
    grey = values.astype(np.float32) * np.float32(255 / 16)
    if size > 8:
        from PIL import Image

        # In floating point: overshoot of the bicubic kernel is clipped once, at the end.
        grey = np.stack(
            [
                np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC))
                for one in grey
            ]
        )
    return np.rint(np.clip(grey, 0, 255)).astype(np.uint8)[..., None]
