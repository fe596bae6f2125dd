"""How pictures become a network's input, as its checkpoint says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

import jax.numpy as jnp
import numpy as np
import pydantic
from jaxtyping import Array, Float
from PIL import Image, ImageOps

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
        crop_pct: share of the resized picture's side that the crop keeps.
        crop_mode: "center": the shorter side is resized and the rest cut off; "squash": both sides
            are, whatever the picture's shape; "border": the longer side is, and the rest is filled
            with the mean.
        mean, std: by channel, of values from 0 to 1.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    input_size: tuple[int, int, int] = (3, 224, 224)
    interpolation: Literal["bicubic", "bilinear", "nearest", "lanczos"] = "bicubic"
    crop_pct: float = pydantic.Field(0.875, gt=0, le=1)
    crop_mode: Literal["center", "squash", "border"] = "center"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @classmethod
    def from_file_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The part of timm's `pretrained_cfg` that says how pictures are prepared."""
        said = {name: fields[name] for name in cls.model_fields if name in fields}
        if said.get("crop_mode", "") is None:
            del said["crop_mode"]
        return cls(**said)

    @pydantic.model_serializer(mode="wrap")
    def _written(self, plain: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The fields; a crop in the middle goes without saying, in timm's files as in ours."""
        fields: dict[str, Any] = plain(self)
        if self.crop_mode == "center":
            del fields["crop_mode"]
        return fields

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

    def resized(self, across: int, down: int) -> tuple[int, int]:
        """Width and height a picture has before the crop [pixels], as timm rounds them.

        Args:
            across, down: its own width and height [pixels].
        """
        _, height, width = self.input_size
        tall, wide = (math.floor(side / self.crop_pct) for side in (height, width))
        if self.crop_mode == "squash":
            return wide, tall
        if self.crop_mode == "center" and tall == wide:
            longer = int(tall * max(across, down) / min(across, down))
            return (tall, longer) if across <= down else (longer, tall)
        ratios = down / tall, across / wide
        ratio = max(ratios) if self.crop_mode == "border" else min(ratios)
        return round(across / ratio), round(down / ratio)

    def _cropped(self, picture: Image.Image, height: int, width: int) -> np.ndarray:
        sizes = self.resized(*picture.size)
        resized = picture.resize(sizes, _FILTERS[self.interpolation])
        left, top, right, bottom = (
            max(0, spare + odd) // 2
            for odd in (0, 1)
            for spare in (width - sizes[0], height - sizes[1])
        )
        if left or top or right or bottom:
            fill = tuple(round(255 * value) for value in self.mean)
            ground = fill if len(fill) > 1 else fill[0]
            resized = ImageOps.expand(resized, (left, top, right, bottom), ground)
        left, top = round((resized.width - width) / 2), round((resized.height - height) / 2)
        return np.asarray(resized.crop((left, top, left + width, top + height)), np.float32)
