"""How pictures become a network's input, as its checkpoint says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

import jax.numpy as jnp
import numpy as np
import pydantic
from jaxtyping import Array, Float
from PIL import Image

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
}


class Preprocessing(pydantic.BaseModel):
    """Size, crop and normalisation, in timm's field names.

    Args:
        input_size: channels, height and width.
        interpolation: filter of the resize.
        crop_pct: share of the resized picture's shorter side that the crop keeps.
        mean, std: by channel, of values from 0 to 1.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    input_size: tuple[int, int, int] = (3, 224, 224)
    interpolation: Literal["bicubic", "bilinear", "nearest", "lanczos"] = "bicubic"
    crop_pct: float = pydantic.Field(0.875, gt=0, le=1)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @classmethod
    def from_file_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The part of timm's `pretrained_cfg` that says how pictures are prepared."""
        return cls(**{name: fields[name] for name in cls.model_fields if name in fields})

    def prepare(self, pictures: Sequence[Image.Image]) -> Float[Array, "B H W C"]:
        """Resized so that the crop fits, cropped in the middle, and normalised.

        Args:
            pictures: of any size and mode; they become RGB, or grey where the network reads one
                channel.

        Raises:
            ValueError: no pictures, or a network that reads neither one nor three channels.
        """
        channels, height, width = self.input_size
        modes = {1: "L", 3: "RGB"}
        if channels not in modes:
            raise ValueError(f"input_size={self.input_size}: pictures have 1 or 3 channels")
        if not len(pictures):
            raise ValueError("pictures is empty; needed at least one")
        ready = [self._cropped(one.convert(modes[channels]), height, width) for one in pictures]
        values = np.stack(ready).reshape(len(ready), height, width, channels) / 255
        normal = (values - np.asarray(self.mean)) / np.asarray(self.std)
        return jnp.asarray(normal, jnp.float32)

    def _cropped(self, picture: Image.Image, height: int, width: int) -> np.ndarray:
        wanted = max(height, width) / self.crop_pct
        ratio = int(wanted) / min(picture.size)
        size = [
            max(round(side * ratio), least)
            for side, least in zip(picture.size, (width, height), strict=True)
        ]
        resized = picture.resize((size[0], size[1]), _FILTERS[self.interpolation])
        left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
        return np.asarray(resized.crop((left, top, left + width, top + height)), np.float32)
