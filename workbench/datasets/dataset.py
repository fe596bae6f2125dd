"""The one type every dataset here has, and its two kinds of content: images and text."""

import base64
import functools
import hashlib
import html
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Int32, Int64, Shaped, UInt8

from workbench.datasets.card import Card

LARGEST = 2 << 30
"""Bytes; a dataset is held in memory, and one beyond this is refused with a reason."""


class DatasetError(ValueError):
    """Data that cannot be used, with the file or field named and what would be right."""


def require_whole(least: int = 1, **fields: int | None) -> None:
    """Refuse a field that is not a whole number of at least `least`; None passes.

    Raises:
        DatasetError: names the field, its value, and what is right.
    """
    for field_name, value in fields.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise DatasetError(f"{field_name}={value!r} must be a whole number from {least} up")


@dataclass(frozen=True, eq=False)
class Images:
    """Images with, for each, its label and the original it was taken from.

    Attributes:
        images: uint8 [N, H, W, C], C is 1 or 3.
        labels: int32 [N].
        source: text [N]; items of one original share it, so a split can be checked.
        captions: text per image where it is known (rendered pages), else empty.
    """

    images: UInt8[np.ndarray, "N H W C"]
    labels: Int32[np.ndarray, " N"]
    source: Shaped[np.ndarray, " N"]
    captions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise DatasetError(
                f"images must be uint8 [N, H, W, C], got {self.images.dtype} {self.images.shape}"
            )
        count = len(self.images)
        if len(self.labels) != count or len(self.source) != count:
            raise DatasetError(
                f"{count} images, {len(self.labels)} labels and {len(self.source)} sources: "
                "these must be equal"
            )
        if self.captions and len(self.captions) != count:
            raise DatasetError(f"{count} images but {len(self.captions)} captions")
        _freeze(self.images, self.labels, self.source)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Text:
    """Bytes of several documents, one after another.

    Attributes:
        text: uint8 [N].
        starts: int64 [D], where each document begins.
        source: text [D], the name of each document.
    """

    text: UInt8[np.ndarray, " N"]
    starts: Int64[np.ndarray, " D"]
    source: Shaped[np.ndarray, " D"]

    def __post_init__(self) -> None:
        if self.text.ndim != 1 or self.text.dtype != np.uint8:
            raise DatasetError(f"text must be uint8 [N], got {self.text.dtype} {self.text.shape}")
        if len(self.starts) != len(self.source):
            raise DatasetError(f"{len(self.starts)} documents but {len(self.source)} sources")
        _freeze(self.text, self.starts, self.source)

    def __len__(self) -> int:
        return len(self.text)

    def documents(self) -> list[str]:
        """The documents, decoded."""
        ends = [*self.starts[1:].tolist(), len(self.text)]
        raw = self.text.tobytes()
        return [raw[a:b].decode("utf-8") for a, b in zip(self.starts.tolist(), ends, strict=True)]

    def windows(self, length: int) -> UInt8[np.ndarray, "M L"]:
        """Text cut into pieces without overlap: uint8 [N // length, length], a view.

        Raises:
            DatasetError: the text is shorter than one piece.
        """
        if not 1 <= length <= len(self.text):
            raise DatasetError(f"length={length} must lie in 1..{len(self.text)}, the text's size")
        count = len(self.text) // length
        return self.text[: count * length].reshape(count, length)


Split = TypeVar("Split", Images, Text)


@dataclass(frozen=True, eq=False)
class Dataset(Generic[Split]):
    """A named dataset with its card and its split.

    Attributes:
        name: with the options that made it, e.g. `digits-16`.
        version: raised by hand whenever the preparation changes.
        label_names: name per label, empty where there are no labels.
        test_only: content kept out of training altogether, shown under its own name.
    """

    name: str
    card: Card
    train: Split
    test: Split
    version: str = "1"
    label_names: tuple[str, ...] = ()
    test_only: Split | None = field(default=None)

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 over name, version, labels and every byte of content."""
        digest = hashlib.sha256()
        for word in (self.name, self.version, *self.label_names):
            digest.update(word.encode() + b"\0")
        for split in (self.train, self.test, self.test_only):
            _digest_split(digest, split)
        return digest.hexdigest()

    def preview(self, count: int = 64, split: str = "train", *, scale: int | None = None) -> bytes:
        """A PNG of the first images of every kind in turn, or of the first lines of text.

        Args:
            count: images, or characters of text.
            split: `"train"`, `"test"` or `"test_only"`.
            scale: screen pixels per image pixel; None enlarges small images to a readable size.
        """
        from workbench.datasets import preview

        chosen = self._split(split)
        if isinstance(chosen, Images):
            return preview.grid(chosen, count, scale)
        return preview.excerpt(chosen, max(count, 400))

    def _split(self, name: str) -> Images | Text:
        splits = {"train": self.train, "test": self.test, "test_only": self.test_only}
        chosen = splits.get(name)
        if chosen is None:
            known = ", ".join(key for key, value in splits.items() if value is not None)
            raise DatasetError(f"split={name!r} is not one of {known}")
        return chosen

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {self.card.sizes})"

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self.preview(48)).decode()
        return (
            f"<div><b>{html.escape(self.name)}</b><br>"
            f"<img alt='first items of {html.escape(self.name, quote=True)}' "
            f"style='max-width:100%' src='data:image/png;base64,{picture}'>"
            f"{self.card._repr_html_()}<small>fingerprint {self.fingerprint[:16]}</small></div>"
        )


def _freeze(*arrays: np.ndarray) -> None:
    """Content is shared between studies; a write into it would change results unseen."""
    for array in arrays:
        array.setflags(write=False)


def _digest_split(digest: "hashlib._Hash", split: Images | Text | None) -> None:
    if split is None:
        digest.update(b"none\0")
        return
    if isinstance(split, Images):
        arrays = (split.images, split.labels.astype("<i8"))
        words = (*split.source.tolist(), *split.captions)
    else:
        arrays = (split.text, split.starts.astype("<i8"))
        words = tuple(split.source.tolist())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    for word in words:
        digest.update(word.encode("utf-8", "surrogateescape") + b"\0")
