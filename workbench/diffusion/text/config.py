"""The shape of a text encoder, in the field names of a transformers `config.json`."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import pydantic

from workbench.model_files.fields import accepted

PLAIN, PROJECTED = "CLIPTextModel", "CLIPTextModelWithProjection"

FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("clip_text_model",),
    "is_encoder_decoder": (False,),
    "chunk_size_feed_forward": (0,),
    "problem_type": (None,),
    "pruned_heads": ({}, None),
    "tie_word_embeddings": (True, False),
}
# Training, provenance, and what a caller is handed back: nothing of what is computed here.
IDLE = (
    "attention_dropout",
    "dropout",
    "dtype",
    "gradient_checkpointing",
    "id2label",
    "initializer_factor",
    "initializer_range",
    "label2id",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "torch_dtype",
    "transformers_version",
    "use_cache",
)


class Tower(pydantic.BaseModel):
    """Shape of a stack of transformer layers, over a text or an image."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    causal: ClassVar[bool]
    """Whether a token sees only the ones before it."""

    hidden_size: int = pydantic.Field(768, ge=1)
    intermediate_size: int = pydantic.Field(3072, ge=1)
    num_hidden_layers: int = pydantic.Field(12, ge=1)
    num_attention_heads: int = pydantic.Field(12, ge=1)
    hidden_act: Literal["quick_gelu", "gelu"] = "quick_gelu"
    layer_norm_eps: float = pydantic.Field(1e-5, gt=0)

    @pydantic.model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads={self.num_attention_heads} does not divide"
                f" hidden_size={self.hidden_size}"
            )
        return self


class CLIPTextConfig(Tower):
    """Shape of a `CLIPTextEncoder`; defaults are those of Stable Diffusion 1.5."""

    causal = True

    vocab_size: int = pydantic.Field(49408, ge=1)
    max_position_embeddings: int = pydantic.Field(77, ge=1)
    projection_dim: int = pydantic.Field(768, ge=1)
    """Width of the pooled features, where there is a projection."""
    projection: bool = False
    """Whether the pooled features are projected: the class named in `architectures`."""
    bos_token_id: int | None = 0
    pad_token_id: int | None = 1
    eos_token_id: int = 2
    """Features are pooled at its first place. Old files say 2, which is wrong: there the largest
    token of all is taken for it, as its makers' vocabulary has it."""

    @property
    def pooled_width(self) -> int:
        """Channels of the pooled features."""
        return self.projection_dim if self.projection else self.hidden_size

    @classmethod
    def from_file_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The configuration a `config.json` holds.

        Raises:
            ValueError: a field that is unknown, or a value this model does not have.
        """
        classes = fields.get("architectures") or [PLAIN]
        if classes not in ([PLAIN], [PROJECTED]):
            raise ValueError(
                f"text encoder config field architectures={classes!r} is not supported;"
                f" supported: [{PLAIN!r}] or [{PROJECTED!r}]"
            )
        # What the format means by fields left out, where that differs from the defaults above.
        absent = {
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_attention_heads": 8,
            "projection_dim": 512,
            "bos_token_id": 49406,
            "eos_token_id": 49407,
        }
        known = cls.model_fields.keys() - {"projection"}
        kept = accepted("text encoder", fields, known, FIXED, (*IDLE, "architectures"))
        return cls(**{**absent, **kept, "projection": classes == [PROJECTED]})

    def to_file_fields(self) -> dict[str, Any]:
        """The fields of a transformers `config.json`."""
        fields = self.model_dump(mode="json", exclude={"projection"})
        kind = PROJECTED if self.projection else PLAIN
        return {"architectures": [kind], "model_type": "clip_text_model"} | fields
