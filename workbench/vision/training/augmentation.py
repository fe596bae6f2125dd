"""Random crops and flips of pictures, the same ones for the same seed and step."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pydantic
from jaxtyping import UInt8


class Augmentation(pydantic.BaseModel):
    """Pads every picture, cuts its old size out somewhere, and turns half of them left to right.

    As in He et al. 2016, section 4.2.

    Args:
        shift: pixels of padding on every side, and so the farthest a picture moves.
        flips: whether pictures are flipped; writing is not.
        around: what the padding is: the picture mirrored, or zeros.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    shift: int = pydantic.Field(4, ge=0)
    flips: bool = True
    around: Literal["mirror", "zeros"] = "mirror"

    def __call__(
        self, images: UInt8[np.ndarray, "B H W C"], seed: int, step: int
    ) -> UInt8[np.ndarray, "B H W C"]:
        """The moved pictures.

        Args:
            images: one batch.
            seed, step: of the batch.
        """
        count, height, width, _ = images.shape
        draw = np.random.Generator(np.random.Philox(key=np.array([seed, step], np.uint64)))
        corners = draw.integers(0, 2 * self.shift + 1, (count, 2))
        flipped = draw.random((count,)) < 0.5
        sides = ((0, 0), (self.shift, self.shift), (self.shift, self.shift), (0, 0))
        padded = np.pad(images, sides, mode="reflect" if self.around == "mirror" else "constant")
        moved: np.ndarray = np.empty_like(images)
        for number, (top, left) in enumerate(corners):
            cut = padded[number, top : top + height, left : left + width]
            moved[number] = cut[:, ::-1] if self.flips and flipped[number] else cut
        return moved


NOTHING = Augmentation(shift=0, flips=False)
"""Leaves pictures as they are."""

WRITING = Augmentation(shift=1, flips=False, around="zeros")
"""For digits on a black ground."""
