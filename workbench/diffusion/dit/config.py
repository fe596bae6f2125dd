"""The shape of a diffusion transformer, in the field names of a diffusers `config.json`."""

from collections.abc import Mapping
from typing import Any, Final, Self

import pydantic

from workbench.model_files.fields import accepted

CLASSES: Final = ("DiTTransformer2DModel", "Transformer2DModel")
"""The format's names of the model: its own, and one it shared with others before."""

# Fields of the family that this model has in one value only. A file may hold them at that value.
FIXED: dict[str, tuple[Any, ...]] = {
    "activation_fn": ("gelu-approximate",),
    "attention_type": ("default",),
    "caption_channels": (None,),
    "cross_attention_dim": (None,),
    "double_self_attention": (False,),
    "dropout": (0.0,),
    "norm_elementwise_affine": (False,),
    "norm_type": ("ada_norm_zero",),
    "num_vector_embeds": (None,),
    "only_cross_attention": (False,),
    "use_linear_projection": (False,),
}
IDLE = ("norm_num_groups", "interpolation_scale", "use_additional_conditions")
"""Fields of other models of the family."""


class DiTConfig(pydantic.BaseModel):
    """Shape of a `DiT`; defaults are those of DiT-XL/2 at 256 x 256 pixels."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    num_attention_heads: int = pydantic.Field(16, ge=1)
    attention_head_dim: int = pydantic.Field(72, ge=1)
    """Channels of a head."""
    in_channels: int = pydantic.Field(4, ge=1)
    out_channels: int = pydantic.Field(8, ge=1)
    """Twice `in_channels` where the variance is predicted too; sampling reads the first half."""
    num_layers: int = pydantic.Field(28, ge=1)
    attention_bias: bool = True
    sample_size: int = pydantic.Field(32, ge=1)
    """Height and width of the latents it was trained on; 64 at 512 x 512 pixels."""
    patch_size: int = pydantic.Field(2, ge=1)
    num_embeds_ada_norm: int = pydantic.Field(1000, ge=1)
    """Classes; one more row of each table means "no class"."""
    upcast_attention: bool = False
    """Kept for the file's sake: scores and softmax are float32 here in any case."""
    norm_eps: float = pydantic.Field(1e-5, gt=0)

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Self:
        if self.sample_size % self.patch_size:
            raise ValueError(
                f"sample_size={self.sample_size} is not a multiple of patch_size={self.patch_size}"
            )
        if self.width % 4:
            raise ValueError(
                f"num_attention_heads={self.num_attention_heads} times attention_head_dim="
                f"{self.attention_head_dim} must be a multiple of 4, for positions in two axes"
            )
        if self.out_channels not in (self.in_channels, 2 * self.in_channels):
            raise ValueError(
                f"out_channels={self.out_channels} must be in_channels={self.in_channels}, or"
                " twice that where the variance is predicted too"
            )
        return self

    @property
    def width(self) -> int:
        """Channels of the hidden state."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this."""
        return self.patch_size

    @classmethod
    def from_file_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The configuration a `config.json` holds.

        Raises:
            ValueError: another class, an unknown field, or a value this model does not have.
        """
        name = fields.get("_class_name", CLASSES[0])
        if name not in CLASSES:
            raise ValueError(f"_class_name={name!r}; needed {' or '.join(CLASSES)}")
        kept = accepted("DiT", fields, cls.model_fields, FIXED, IDLE)
        # The format means as many channels out as in by None or a field left out.
        if kept.get("out_channels") is None:
            kept["out_channels"] = kept.get("in_channels", 4)
        return cls(**kept)

    def to_file_fields(self) -> dict[str, Any]:
        """The fields of a diffusers `config.json`."""
        shared = ("activation_fn", "dropout", "norm_elementwise_affine", "norm_type")
        fixed = {name: FIXED[name][0] for name in shared}
        return {"_class_name": CLASSES[0]} | self.model_dump(mode="json") | fixed
