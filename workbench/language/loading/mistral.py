"""Mistral in the layout of transformers (`model_type: "mistral"`): LLaMA with a sliding window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.language.config import DecoderConfig
from workbench.language.loading import llama
from workbench.language.loading.layout import Layout, accepted

MODEL_TYPE = "mistral"
# What the format means by fields left out.
DEFAULTS: dict[str, Any] = {
    **{name: value for name, value in llama.DEFAULTS.items() if name != "attention_bias"},
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "sliding_window": 4096,
}
FIXED: dict[str, tuple[Any, ...]] = {"hidden_act": ("silu", "swish")}


def read(fields: Mapping[str, Any]) -> DecoderConfig:
    """The decoder these fields mean.

    Raises:
        ValueError: a field that is unknown, or a value this model does not have.
    """
    kept = accepted(MODEL_TYPE, fields, DEFAULTS, FIXED, ("attention_dropout",))
    return llama.decoder(MODEL_TYPE, kept, {"window_size": kept["sliding_window"]})


def write(config: DecoderConfig) -> dict[str, Any] | None:
    """The fields of a decoder; None for one that is not all attention with a window."""
    mixer = llama.attention_of(config)
    if mixer is None or mixer.window_size is None or mixer.biases != "none":
        return None
    return {
        "architectures": ["MistralForCausalLM"],
        **llama.shared_fields(config, mixer),
        "sliding_window": mixer.window_size,
    }


LAYOUT = Layout(MODEL_TYPE, read, write, names=llama.NAMES, old_names=llama.old_names)
