"""Gated linear attention in the layout of flash-linear-attention (`model_type: "gla"`).

Files older than February 2025 hold the gate and up projections of a feed-forward layer as one
tensor, and files written without the fused norm call it `g_norm`; both are read, and written in
today's form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from workbench.language.config import DecoderConfig
from workbench.language.loading.layout import Layout, Split, accepted, configuration, shapes_of
from workbench.language.mixers.gla import GLAConfig

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
}
FIXED: dict[str, tuple[Any, ...]] = {
    "attn": (None,),
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
    return configuration(
        MODEL_TYPE,
        {
            **{name: kept[name] for name in SHARED},
            "intermediate_size": inner,
            "mixers": [{"kind": "gla", **{name: kept[name] for name in MIXER}}],
        },
    )


def intermediate_size(width: int, ratio: int) -> int:
    """2/3 of `ratio` times the width, rounded up to a multiple of 256."""
    return -(-int(width * ratio * 2 / 3) // 256) * 256


def write(config: DecoderConfig) -> dict[str, Any] | None:
    """The fields of a decoder; None for one that is not all GLA as released."""
    mixer, plain = config.mixers[0], GLAConfig()
    if (
        not isinstance(mixer, GLAConfig)
        or any(other != mixer for other in config.mixers)
        or (mixer.gate, mixer.gate_low_rank_dim, mixer.gate_logit_normalizer)
        != (plain.gate, plain.gate_low_rank_dim, plain.gate_logit_normalizer)
        or (config.channel_mixer, config.linears) != ("swiglu", "dense")
        or config.max_position_embeddings is not None
    ):
        return None
    return {
        "architectures": ["GLAForCausalLM"],
        **{name: getattr(config, name) for name in SHARED},
        "intermediate_size": config.inner,
        "hidden_ratio": 4,
        **{name: getattr(mixer, name) for name in MIXER},
        **{name: values[0] for name, values in FIXED.items()},
        "attn_mode": "chunk",
        "fuse_norm": True,
    }


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
