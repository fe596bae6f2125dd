"""Small random turns, shifts and stretches of images, the same ones for the same seed and step."""

from __future__ import annotations

import numpy as np
import pydantic
from jaxtyping import Float, UInt8


class Augmentation(pydantic.BaseModel):
    """How far an image may be moved: standard deviations of normal draws, cut at 2."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    turn: float = pydantic.Field(ge=0, description="degrees")
    shift: float = pydantic.Field(ge=0, description="pixels, along each axis")
    stretch: float = pydantic.Field(ge=0, description="share of the size, along each axis")
    shear: float = pydantic.Field(0.0, ge=0, description="pixels sideways per pixel of height")

    def __call__(
        self, images: UInt8[np.ndarray, "B H W C"], seed: int, step: int
    ) -> Float[np.ndarray, "B H W C"]:
        """Moved images in [0, 1], by cubic splines; outside of the picture is background, 0."""
        from scipy.ndimage import affine_transform

        rng = np.random.Generator(np.random.Philox(key=np.array([seed, step], np.uint64)))
        draws = np.clip(rng.standard_normal((len(images), 6)), -2, 2)
        middle = (np.array(images.shape[1:3]) - 1) / 2
        moved = np.empty(images.shape, np.float32)
        for out, image, draw in zip(moved, images.astype(np.float32) / 255, draws, strict=True):
            angle = np.deg2rad(self.turn) * draw[0]
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            stretch = np.diag(1 + self.stretch * draw[1:3])
            matrix = turn @ stretch @ np.array([[1.0, 0.0], [self.shear * draw[5], 1.0]])
            offset = middle - matrix @ middle + self.shift * draw[3:5]
            for channel in range(image.shape[-1]):
                out[..., channel] = affine_transform(image[..., channel], matrix, offset)
        return np.clip(moved, 0, 1)
