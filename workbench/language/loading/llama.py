"""LLaMA in the layout of transformers (`model_type: "llama"`), which many families share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.language.config import DecoderConfig
from workbench.language.loading.layout import Layout, accepted, configuration
from workbench.language.mixers.attention import AttentionConfig

MODEL_TYPE = "llama"
# What the format means by fields left out.
DEFAULTS: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": None,
    "head_dim": None,
    "max_position_embeddings": 2048,
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "rope_parameters": None,
    "attention_bias": False,
}
FIXED: dict[str, tuple[Any, ...]] = {"hidden_act": ("silu", "swish"), "mlp_bias": (False,)}
# Of training, and how products were once cut into parts.
IDLE = ("attention_dropout", "pretraining_tp")
SHARED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "max_position_embeddings",
    "initializer_range",
    "tie_word_embeddings",
)
NAMES = (
    ("mlp_norm", "post_attention_layernorm"),
    ("attn_norm", "input_layernorm"),
    (".attn.", ".self_attn."),
    (".embeddings.", ".embed_tokens."),
)


def read(fields: Mapping[str, Any]) -> DecoderConfig:
    """The decoder these fields mean.

    Raises:
        ValueError: a field that is unknown, or a value this model does not have.
    """
    kept = accepted(MODEL_TYPE, fields, DEFAULTS, FIXED, IDLE)
    return decoder(MODEL_TYPE, kept, {"biases": "all" if kept["attention_bias"] else "none"})


def decoder(kind: str, kept: Mapping[str, Any], more: Mapping[str, Any]) -> DecoderConfig:
    """The decoder of fields that all such families have, and more of its attention.

    Raises:
        ValueError: a value this model does not have.
    """
    theta, scaling = positions(kind, kept)
    mixer = {
        "kind": "attention",
        "num_heads": kept["num_attention_heads"],
        "num_kv_heads": kept["num_key_value_heads"],
        "head_dim": kept["head_dim"],
        "rope_theta": theta,
        "rope_scaling": scaling,
        **more,
    }
    shared = {name: kept[name] for name in SHARED}
    return configuration(kind, {**shared, "norm_eps": kept["rms_norm_eps"], "mixers": [mixer]})


def positions(kind: str, kept: Mapping[str, Any]) -> tuple[Any, dict[str, Any] | None]:
    """Base and scaling of rotary positions, of a file in the present form or an older one.

    Raises:
        ValueError: a scaling that is not supported.
    """
    name = "rope_scaling" if kept["rope_parameters"] is None else "rope_parameters"
    found = dict(kept[name] or {})
    theta = found.pop("rope_theta", kept["rope_theta"])
    if found.pop("partial_rotary_factor", 1.0) != 1.0:
        raise ValueError(f"{kind} config field {name}: partial_rotary_factor must be 1")
    form = found.pop("rope_type", found.pop("type", "default"))
    if form == "default":
        return theta, None
    if form not in ("linear", "llama3"):
        raise ValueError(
            f"{kind} config field {name}: rope_type={form!r} is not supported; "
            "supported: default, linear, llama3"
        )
    found.pop("type", None)
    if form == "llama3":
        found.setdefault("original_max_position_embeddings", kept["max_position_embeddings"])
    return theta, {"rope_type": form, **found}


def write(config: DecoderConfig) -> dict[str, Any] | None:
    """The fields of a decoder; None for one that is not all attention as in LLaMA."""
    mixer = attention_of(config)
    if mixer is None or mixer.window_size is not None or mixer.biases == "qkv":
        return None
    return {
        "architectures": ["LlamaForCausalLM"],
        **shared_fields(config, mixer),
        "attention_bias": mixer.biases == "all",
        "mlp_bias": False,
    }


def attention_of(config: DecoderConfig) -> AttentionConfig | None:
    """The one mixer of a decoder of attention and plain projections, else None.

    What it keeps while it decodes is a choice of the one who decodes, and in no file.
    """
    mixer = config.mixers[0]
    if (
        not isinstance(mixer, AttentionConfig)
        or any(other != mixer for other in config.mixers)
        or mixer.rope_theta is None
        or (config.channel_mixer, config.linears) != ("swiglu", "dense")
        or config.max_position_embeddings is None
    ):
        return None
    return mixer


def shared_fields(config: DecoderConfig, mixer: AttentionConfig) -> dict[str, Any]:
    """The fields that all such families have."""
    heads, kv_heads, head = mixer.sizes(config.hidden_size)
    scaling = mixer.rope_scaling
    return {
        **{name: getattr(config, name) for name in SHARED},
        "intermediate_size": config.inner,
        "rms_norm_eps": config.norm_eps,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head,
        "rope_theta": mixer.rope_theta,
        "rope_scaling": None if scaling is None else scaling.model_dump(mode="json"),
        "hidden_act": "silu",
    }


def old_names(name: str) -> str | None:
    """Every tensor but the frequencies of positions, which older files hold as well."""
    return None if name.endswith("rotary_emb.inv_freq") else name


LAYOUT = Layout(MODEL_TYPE, read, write, names=NAMES, old_names=old_names)
