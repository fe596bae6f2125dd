"""Gated linear attention in the layout of flash-linear-attention (`model_type: "gla"`).

Files older than February 2025 hold the gate and up projections of a feed-forward layer as one
tensor, and files written without the fused norm call it `g_norm`; both are read, and written in
today's form. Hybrids, with attention in some layers, are read and written too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from workbench.language.config import DecoderConfig
from workbench.language.loading.layout import Layout, Split, accepted, configuration, shapes_of
from workbench.language.mixers.attention import AttentionConfig
from workbench.language.mixers.gla import GLAConfig
from workbench.language.mixing import MixerConfig

MODEL_TYPE = "gla"
# What the format means by fields left out.
DEFAULTS: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "hidden_ratio": 4,
    "intermediate_size": None,
    "tie_word_embeddings": False,
    "norm_eps": 1e-6,
    "initializer_range": 0.02,
    "num_heads": 4,
    "num_kv_heads": None,
    "expand_k": 0.5,
    "expand_v": 1.0,
    "clamp_min": None,
    "attn": None,
}
FIXED: dict[str, tuple[Any, ...]] = {
    "elementwise_affine": (True,),
    "feature_map": (None,),
    "hidden_act": ("swish", "silu"),
    "use_gk": (True,),
    "use_gv": (False,),
    "use_output_gate": (True,),
    "use_short_conv": (False,),
}
# The kernel that runs, a limit that only attention layers have, and the size of convolutions
# there are none of.
IDLE = ("attn_mode", "conv_size", "max_position_embeddings")
MIXER = ("num_heads", "num_kv_heads", "expand_k", "expand_v", "clamp_min")
# Of the attention layers of a hybrid, with what the format means by those left out.
ATTENTION: dict[str, Any] = {
    "num_heads": None,
    "num_kv_heads": None,
    "qkv_bias": False,
    "window_size": None,
    "rope_theta": 10000.0,
}
SHARED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "tie_word_embeddings",
    "norm_eps",
    "initializer_range",
)


def read(fields: Mapping[str, Any]) -> DecoderConfig:
    """The decoder these fields mean.

    Raises:
        ValueError: a field that is unknown, or a value this model does not have.
    """
    kept = accepted(MODEL_TYPE, fields, DEFAULTS, FIXED, IDLE)
    inner = kept["intermediate_size"] or intermediate_size(
        kept["hidden_size"], kept["hidden_ratio"] or 4
    )
    mixer = {"kind": "gla", **{name: kept[name] for name in MIXER}}
    return configuration(
        MODEL_TYPE,
        {
            **{name: kept[name] for name in SHARED},
            "intermediate_size": inner,
            "mixers": hybrid(mixer, kept["attn"], kept["num_hidden_layers"]),
        },
    )


def hybrid(mixer: dict[str, Any], attn: Any, layers: int) -> list[dict[str, Any]]:
    """The mixers of a file, as few as repeat along its layers.

    Raises:
        ValueError: `attn` that says not which layers and how many heads, or more than is read.
    """
    if attn is None:
        return [mixer]
    if not isinstance(attn, Mapping) or "layers" not in attn or attn.get("num_heads") is None:
        raise ValueError(f"gla config field attn={attn!r} must say layers and num_heads")
    fixed = {"qk_norm": (False,)}
    kept = accepted("gla attn", attn, {**ATTENTION, "layers": ()}, fixed)
    outside = [one for one in kept["layers"] if one not in range(layers)]
    if outside:
        raise ValueError(f"gla config field attn: layer {outside[0]} of {layers} is not there")
    attention = {
        "kind": "attention",
        **{name: kept[name] for name in ("num_heads", "num_kv_heads", "window_size", "rope_theta")},
        "biases": "qkv" if kept["qkv_bias"] else "none",
    }
    each = [attention if layer in kept["layers"] else mixer for layer in range(layers)]
    period = next(p for p in range(1, layers + 1) if each == (each[:p] * layers)[:layers])
    return each[:period]


def intermediate_size(width: int, ratio: int) -> int:
    """2/3 of `ratio` times the width, rounded up to a multiple of 256."""
    return -(-int(width * ratio * 2 / 3) // 256) * 256


def write(config: DecoderConfig) -> dict[str, Any] | None:
    """The fields of a decoder; None for one that is not GLA as released, or its hybrid."""
    each = [config.mixer(layer) for layer in range(config.num_hidden_layers)]
    places = [layer for layer, one in enumerate(each) if isinstance(one, AttentionConfig)]
    mixer = next((one for one in each if not isinstance(one, AttentionConfig)), None)
    attention = each[places[0]] if places else None
    if (
        not isinstance(mixer, GLAConfig)
        or any(one not in (mixer, attention) for one in each)
        or mixer != GLAConfig(**{name: getattr(mixer, name) for name in MIXER})
        or (config.channel_mixer, config.linears) != ("swiglu", "dense")
        or config.max_position_embeddings is not None
    ):
        return None
    attn = None
    if attention is not None and (attn := _attention_fields(attention, places)) is None:
        return None
    return {
        "architectures": ["GLAForCausalLM"],
        **{name: getattr(config, name) for name in SHARED},
        "intermediate_size": config.inner,
        "hidden_ratio": 4,
        **{name: getattr(mixer, name) for name in MIXER},
        **{name: values[0] for name, values in FIXED.items()},
        "attn": attn,
        "attn_mode": "chunk",
        "fuse_norm": True,
    }


def _attention_fields(mixer: MixerConfig, places: list[int]) -> dict[str, Any] | None:
    """`attn` of these layers; None for attention the format does not have."""
    assert isinstance(mixer, AttentionConfig)
    fields = {name: getattr(mixer, name, None) for name in ATTENTION}
    fields["qkv_bias"] = mixer.biases == "qkv"
    told = {name: value for name, value in fields.items() if name != "qkv_bias"}
    if mixer != AttentionConfig(**told, biases=mixer.biases) or mixer.biases == "all":
        return None
    if mixer.rope_theta is None:
        return None
    return {"layers": places, **fields}


def old_names(name: str) -> str:
    """The norm of a head's output, whatever it is called."""
    return re.sub(r"\.attn\.g_norm\.weight$", ".attn.g_norm_swish_gate.weight", name)


def opened(tensors: Mapping[str, Any], config: DecoderConfig) -> Mapping[str, Any]:
    """Gate and up projections apart, of files that hold them as one."""
    shapes, pieces = shapes_of(tensors), {}
    for name, shape in shapes.items():
        up = name.replace("gate_proj", "up_proj")
        alone = name.endswith(".mlp.gate_proj.weight") and up not in shapes
        if alone and shape[:1] == (2 * config.inner,):
            pieces[name] = (name, up)
    return Split(tensors, pieces) if pieces else tensors


LAYOUT = Layout(MODEL_TYPE, read, write, old_names=old_names, opened=opened)
