"""The shape of a CLIP, in the field names of a transformers `config.json`."""

from collections.abc import Mapping
from typing import Any, Self

import pydantic

from workbench.diffusion.text.config import FIXED, IDLE, CLIPTextConfig, Tower
from workbench.model_files.fields import accepted

_VISION_FIXED = FIXED | {"model_type": ("clip_vision_model",), "num_channels": (3,)}
# A part of a whole: its classes, and how far texts project, are said once for both.
_NESTED = (*IDLE, "architectures", "projection_dim")


class CLIPVisionConfig(Tower):
    """Shape of the image side; defaults are ViT-B/32's."""

    causal = False

    image_size: int = pydantic.Field(224, ge=1)
    patch_size: int = pydantic.Field(32, ge=1)

    @pydantic.model_validator(mode="after")
    def _patches_fit(self) -> Self:
        if self.image_size % self.patch_size:
            raise ValueError(
                f"patch_size={self.patch_size} does not divide image_size={self.image_size}"
            )
        return self

    @property
    def patches(self) -> int:
        """Patches of an image."""
        return (self.image_size // self.patch_size) ** 2


class CLIPConfig(pydantic.BaseModel):
    """Both sides, and the width at which they meet."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    text: CLIPTextConfig
    vision: CLIPVisionConfig
    projection_dim: int = pydantic.Field(512, ge=1)

    @classmethod
    def from_file_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The configuration a `config.json` holds.

        Raises:
            ValueError: another class of model, a field that is unknown, or a value not supported.
        """
        if fields.get("architectures") != ["CLIPModel"]:
            raise ValueError(
                f"architectures={fields.get('architectures')!r} is not supported; needed a whole "
                "CLIP, ['CLIPModel']"
            )
        vision = accepted(
            "CLIP vision",
            fields.get("vision_config") or {},
            CLIPVisionConfig.model_fields,
            _VISION_FIXED,
            _NESTED,
        )
        text = {k: v for k, v in (fields.get("text_config") or {}).items() if k not in _NESTED}
        return cls(
            text=CLIPTextConfig.from_file_fields(text),
            vision=CLIPVisionConfig(**vision),
            projection_dim=fields.get("projection_dim", 512),
        )

    def to_file_fields(self) -> dict[str, Any]:
        """The fields of a transformers `config.json`."""
        text = self.text.to_file_fields()
        del text["architectures"]
        return {
            "architectures": ["CLIPModel"],
            "model_type": "clip",
            "projection_dim": self.projection_dim,
            "text_config": text,
            "vision_config": {
                "model_type": "clip_vision_model",
                **self.vision.model_dump(mode="json"),
            },
        }
