"""The shape of a decoder: what varies between the models compared here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator, model_validator

from workbench.language.channel import inner_width
from workbench.language.mixing import MixerConfig

Linears = Literal["dense", "ternary"]


class DecoderConfig(BaseModel):
    """A pre-norm decoder: x += mixer(norm(x)); x += SwiGLU(norm(x)), layer after layer.

    `mixers` repeats along the layers: one entry for a pure stack, several for a hybrid one, such
    as one attention layer after every three of a recurrence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int = Field(ge=2, description="tokens there are")
    hidden_size: int = Field(ge=1, description="width")
    num_hidden_layers: int = Field(ge=1, description="layers")
    mixers: tuple[SerializeAsAny[MixerConfig], ...] = Field(
        min_length=1, description="token mixers, repeated along the layers"
    )
    intermediate_size: int | None = Field(
        None, ge=1, description="width of the feed-forward layers; 8/3 of hidden_size when None"
    )
    channel_mixer: Literal["swiglu", "none"] = Field(
        "swiglu", description="what follows the token mixer in a layer"
    )
    linears: Linears = Field("dense", description="how projections hold and use their weights")
    tie_word_embeddings: bool = Field(True, description="whether the head is the embedding")
    norm_eps: float = Field(1e-6, gt=0, description="added to mean squares")
    initializer_range: float = Field(0.02, gt=0, description="deviation of the first weights")
    max_position_embeddings: int | None = Field(
        None, ge=1, description="the longest text; None: no limit"
    )

    @field_validator("mixers", mode="before")
    @classmethod
    def _read_mixers(cls, given: Any) -> Any:
        """Mixers from their records, each of which names its kind."""
        from workbench.language.mixers import mixer_of

        if isinstance(given, MixerConfig):
            return (given,)
        return tuple(mixer_of(one) if isinstance(one, dict) else one for one in given)

    @model_validator(mode="after")
    def _consistent(self) -> DecoderConfig:
        if self.linears == "ternary" and self.tie_word_embeddings:
            raise ValueError("tie_word_embeddings=True: a ternary head is not the embedding")
        return self

    @property
    def inner(self) -> int:
        """Width of the feed-forward layers."""
        return self.intermediate_size or inner_width(self.hidden_size)

    def mixer(self, layer: int) -> MixerConfig:
        """The token mixer of a layer, from 0."""
        return self.mixers[layer % len(self.mixers)]

    def record(self) -> dict[str, Any]:
        """Plain values from which `DecoderConfig.model_validate` makes it again."""
        return {
            **self.model_dump(mode="json"),
            "mixers": [{"kind": m.kind, **m.model_dump(mode="json")} for m in self.mixers],
        }
