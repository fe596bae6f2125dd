"""The shape of a UNet, in the field names of a diffusers `config.json`."""

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

import pydantic

from workbench.diffusion.block_fields import require_blocks
from workbench.model_files.fields import accepted

CROSS_DOWN: Final = "CrossAttnDownBlock2D"
PLAIN_DOWN: Final = "DownBlock2D"
CROSS_UP: Final = "CrossAttnUpBlock2D"
PLAIN_UP: Final = "UpBlock2D"
CROSS_MID: Final = "UNetMidBlock2DCrossAttn"

Routing = Literal["softmax", "sigmoid"]
"""What turns the numbers of a router into weights of kernels."""

SIZES: Final = 6
"""Numbers in SDXL's time ids."""

LATER: Final[dict[str, Any]] = {
    "time_embedding_dim": None,
    "conv_experts": 1,
    "conv_routing": "softmax",
}
"""Fields that came later, and what they are where no name of a run holds them."""

# Fields of the family that this model has in one value only. A file may hold them at that value.
FIXED: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu", "swish"),
    "addition_embed_type_num_heads": (64,),
    "attention_type": ("default",),
    "center_input_sample": (False,),
    "class_embed_type": (None,),
    "class_embeddings_concat": (False,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "cross_attention_norm": (None,),
    "downsample_padding": (1,),
    "dropout": (0.0,),
    "dual_cross_attention": (False,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "mid_block_only_cross_attention": (None, False),
    "mid_block_scale_factor": (1,),
    "num_class_embeds": (None,),
    "only_cross_attention": (False,),
    "resnet_out_scale_factor": (1.0,),
    "resnet_skip_time_act": (False,),
    "resnet_time_scale_shift": ("default",),
    "reverse_transformer_layers_per_block": (None,),
    "time_cond_proj_dim": (None,),
    "time_embedding_act_fn": (None,),
    "time_embedding_type": ("positional",),
    "timestep_post_act": (None,),
}


def require_pairs(experts: int, routing: str) -> None:
    """Holds several experts under a sigmoid to an even number.

    Raises:
        ValueError: an odd one.
    """
    if routing == "sigmoid" and experts > 1 and experts % 2:
        raise ValueError(
            f"conv_experts={experts} must be even with conv_routing='sigmoid', whose weights start"
            " in pairs that add up to one"
        )


class UNetConfig(pydantic.BaseModel):
    """Shape of a `UNet2DCondition`; defaults are those of Stable Diffusion 1.5."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    sample_size: int | tuple[int, int] | None = 64
    in_channels: int = pydantic.Field(4, ge=1)
    out_channels: int = pydantic.Field(4, ge=1)
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    down_block_types: tuple[Literal["CrossAttnDownBlock2D", "DownBlock2D"], ...] = (
        CROSS_DOWN,
        CROSS_DOWN,
        CROSS_DOWN,
        PLAIN_DOWN,
    )
    mid_block_type: Literal["UNetMidBlock2DCrossAttn", "UNetMidBlock2D"] | None = CROSS_MID
    up_block_types: tuple[Literal["CrossAttnUpBlock2D", "UpBlock2D"], ...] = (
        PLAIN_UP,
        CROSS_UP,
        CROSS_UP,
        CROSS_UP,
    )
    layers_per_block: int | tuple[int, ...] = 2
    transformer_layers_per_block: int | tuple[int, ...] = 1
    attention_head_dim: int | tuple[int, ...] = 8
    """Number of heads, a name the format kept from an old mistake."""
    num_attention_heads: int | tuple[int, ...] | None = None
    """Number of heads under its right name; wins over `attention_head_dim` when given."""
    cross_attention_dim: int = pydantic.Field(768, ge=1)
    use_linear_projection: bool = False
    upcast_attention: bool = False
    """Kept for the file's sake: scores and softmax are float32 here in any case."""
    norm_num_groups: int = pydantic.Field(32, ge=1)
    norm_eps: float = pydantic.Field(1e-5, gt=0)
    freq_shift: int = 0
    flip_sin_to_cos: bool = True
    addition_embed_type: Literal["text_time"] | None = None
    """SDXL's form reads a pooled prompt and sizes besides the context."""
    addition_time_embed_dim: int | None = None
    """Channels of the sinusoid of each size."""
    projection_class_embeddings_input_dim: int | None = None
    """Channels of the pooled prompt and all sinusoids together."""
    time_embedding_dim: int | None = pydantic.Field(None, ge=1, exclude_if=lambda dim: dim is None)
    """Channels of the time embedding; None is four times the first block's, and stands in no name
    of a pipeline or a run, which are older."""
    conv_experts: int = pydantic.Field(1, ge=1, exclude_if=lambda count: count == 1)
    """Kernels that each 3x3 convolution of a ResNet mixes for each sample; ours, no field of
    diffusers, and as absent as the field above where it is 1."""
    conv_routing: Routing = pydantic.Field("softmax", exclude_if=lambda rule: rule == "softmax")
    """What turns the routing's numbers into weights of the kernels."""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Self:
        require_blocks(self)
        blocks = len(self.block_out_channels)
        for name in (
            "layers_per_block",
            "transformer_layers_per_block",
            "attention_head_dim",
            "num_attention_heads",
        ):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != blocks:
                raise ValueError(
                    f"{name}={list(value)} has {len(value)} entries; one per block is {blocks}"
                )
            values = () if value is None else value if isinstance(value, tuple) else (value,)
            least = 0 if name in ("transformer_layers_per_block", "layers_per_block") else 1
            if any(v < least for v in values):
                raise ValueError(f"{name}={value} must be positive")
        self._check_empty_blocks()
        require_pairs(self.conv_experts, self.conv_routing)
        self._check_added()
        levels = zip(self.block_out_channels, self.heads, self.depths, self._attends, strict=True)
        for width, heads, depth, attends in levels:
            if attends and width % heads:
                raise ValueError(
                    f"attention_head_dim: {heads} heads do not divide {width} channels"
                )
            if attends and depth < 1:
                raise ValueError(
                    f"transformer_layers_per_block={self.transformer_layers_per_block} must be"
                    " positive where a block attends"
                )
        if self.block_out_channels[0] % 2:
            raise ValueError(f"block_out_channels[0]={self.block_out_channels[0]} must be even")
        return self

    def _check_empty_blocks(self) -> None:
        """A block of a downsampler alone keeps the width, and is not the innermost one."""
        widths = self.block_out_channels
        for block, layers in enumerate(self.layers):
            if layers == 0 and (
                block == len(widths) - 1 or widths[block] != widths[max(block - 1, 0)]
            ):
                raise ValueError(
                    f"layers_per_block={self.layers_per_block} must be positive in block {block},"
                    " which is the innermost or changes the width"
                )

    def _check_added(self) -> None:
        sizes = self.addition_time_embed_dim, self.projection_class_embeddings_input_dim
        if self.addition_embed_type is None:
            for name in ("addition_time_embed_dim", "projection_class_embeddings_input_dim"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name}={getattr(self, name)} goes with addition_embed_type='text_time';"
                        " that is None"
                    )
        elif None in sizes or self.pooled_width < 1 or (sizes[0] or 0) < 2 or (sizes[0] or 0) % 2:
            raise ValueError(
                f"addition_embed_type='text_time' needs an even addition_time_embed_dim and a"
                f" projection_class_embeddings_input_dim above {SIZES} times that; they are"
                f" {sizes[0]} and {sizes[1]}"
            )

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [
            (name, value)
            for name, value in super().__repr_args__()
            if name not in LATER or value != LATER[name]
        ]

    @property
    def time_width(self) -> int:
        """Channels of the time embedding, which every ResNet reads."""
        return self.time_embedding_dim or 4 * self.block_out_channels[0]

    @property
    def pooled_width(self) -> int:
        """Channels of the pooled prompt; 0 where the form reads none."""
        if self.addition_embed_type is None:
            return 0
        total = self.projection_class_embeddings_input_dim or 0
        return total - SIZES * (self.addition_time_embed_dim or 0)

    @property
    def heads(self) -> tuple[int, ...]:
        """Attention heads of each down block."""
        heads = (
            self.attention_head_dim
            if self.num_attention_heads is None
            else self.num_attention_heads
        )
        return self._per_block(heads)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers of each down block; the up block opposite has one more."""
        return self._per_block(self.layers_per_block)

    @property
    def depths(self) -> tuple[int, ...]:
        """Transformer blocks in each layer, by down block."""
        return self._per_block(self.transformer_layers_per_block)

    @property
    def _attends(self) -> tuple[bool, ...]:
        """Whether anything reads the context at each width: down, up, or the middle at the last."""
        pairs = zip(self.down_block_types, reversed(self.up_block_types), strict=True)
        *outer, inner = (down == CROSS_DOWN or up == CROSS_UP for down, up in pairs)
        return (*outer, inner or self.mid_block_type == CROSS_MID)

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this."""
        return 2 ** (len(self.block_out_channels) - 1)

    def _per_block(self, value: int | tuple[int, ...]) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * len(self.block_out_channels)

    @classmethod
    def from_file_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The configuration a `config.json` holds; fields with an underscore first are its notes.

        Raises:
            ValueError: a field that is unknown, or a value this model does not have.
        """
        kept = accepted("UNet", fields, cls.model_fields, FIXED)
        if kept.get("upcast_attention", False) is None:
            del kept["upcast_attention"]  # as SDXL's file has it
        # What the format means by a field left out, where that differs from the defaults above.
        return cls(**{"cross_attention_dim": 1280, "sample_size": None, **kept})

    def to_file_fields(self) -> dict[str, Any]:
        """The fields of a diffusers `config.json`, heads under the name that format reads."""
        fields: dict[str, Any] = {"_class_name": "UNet2DConditionModel"}
        fields |= self.model_dump(mode="json") | {name: values[0] for name, values in FIXED.items()}
        fields["time_embedding_dim"] = self.time_embedding_dim
        if self.num_attention_heads is not None:
            fields |= {
                "attention_head_dim": fields["num_attention_heads"],
                "num_attention_heads": None,
            }
        return fields
