"""The shape of an autoencoder, in the field names of a diffusers `config.json`."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import pydantic

from workbench.diffusion.block_fields import require_blocks
from workbench.model_files.fields import accepted

FIXED: dict[str, tuple[Any, ...]] = {"act_fn": ("silu", "swish")}


class AutoencoderConfig(pydantic.BaseModel):
    """Shape of an `AutoencoderKL`; defaults are those of Stable Diffusion 1.5."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    sample_size: int | tuple[int, int] | None = 512
    in_channels: int = pydantic.Field(3, ge=1)
    out_channels: int = pydantic.Field(3, ge=1)
    down_block_types: tuple[Literal["DownEncoderBlock2D"], ...] = ("DownEncoderBlock2D",) * 4
    up_block_types: tuple[Literal["UpDecoderBlock2D"], ...] = ("UpDecoderBlock2D",) * 4
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = pydantic.Field(2, ge=1)
    latent_channels: int = pydantic.Field(4, ge=1)
    norm_num_groups: int = pydantic.Field(32, ge=1)
    scaling_factor: float = pydantic.Field(0.18215, gt=0)
    """Latents times this have about unit spread (Rombach et al. 2022, appendix G)."""
    shift_factor: float | None = None
    """Taken off latents before they are scaled; nothing where None."""
    latents_mean: tuple[float, ...] | None = None
    """Mean of each latent channel, where a file gives it beside `latents_std`."""
    latents_std: tuple[float, ...] | None = None
    """Spread of each latent channel."""
    use_quant_conv: bool = True
    """A 1x1 convolution follows the encoder."""
    use_post_quant_conv: bool = True
    """A 1x1 convolution comes before the decoder."""
    mid_block_add_attention: bool = True
    """The mid blocks attend between their two ResNets."""
    mid_block: bool = True
    """Both sides have a mid block; TVT's 4x form has none, which a file says by its own field."""
    force_upcast: bool = True
    """Kept for the file's sake: float16 overflows in it; bfloat16 and float32 do not."""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Self:
        require_blocks(self)
        if (self.latents_mean is None) != (self.latents_std is None):
            raise ValueError("latents_mean and latents_std go together; one of them is None")
        for name in ("latents_mean", "latents_std"):
            value = getattr(self, name)
            if value is not None and len(value) != self.latent_channels:
                raise ValueError(
                    f"{name} has {len(value)} entries; latent_channels={self.latent_channels}"
                )
        return self

    @property
    def stride(self) -> int:
        """Pixels of an image per pixel of its latent, along each side."""
        return 2 ** (len(self.block_out_channels) - 1)

    @classmethod
    def from_file_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The configuration a `config.json` holds.

        Raises:
            ValueError: a field that is unknown, or a value this model does not have.
        """
        kept = accepted("VAE", fields, cls.model_fields, FIXED)
        # What the format means by fields left out, where that differs from the defaults above.
        absent = {
            "sample_size": 32,
            "down_block_types": ("DownEncoderBlock2D",),
            "up_block_types": ("UpDecoderBlock2D",),
            "block_out_channels": (64,),
            "layers_per_block": 1,
        }
        return cls(**{**absent, **kept})

    def to_file_fields(self) -> dict[str, Any]:
        """The fields of a diffusers `config.json`."""
        fixed = {name: values[0] for name, values in FIXED.items()}
        fields = {"_class_name": "AutoencoderKL"} | self.model_dump(mode="json") | fixed
        if self.mid_block:
            del fields["mid_block"]  # no field of the format's own
        return fields
