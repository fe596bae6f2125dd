"""MatMul-free LM as its authors' package writes it (`model_type: "hgrn_bit"`).

The files hold latent weights, which are rounded to -1, 0, 1 where they are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.language.config import DecoderConfig
from workbench.language.loading.layout import Layout, accepted, configuration
from workbench.language.mixers.mlgru import MLGRUConfig

MODEL_TYPE = "hgrn_bit"
# What the format means by fields left out.
DEFAULTS: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "hidden_ratio": 4,
    "intermediate_size": None,
    "use_lower_bound": True,
    "rms_norm_eps": 1e-6,
    "initializer_range": 0.02,
}
FIXED: dict[str, tuple[Any, ...]] = {
    "expand_ratio": (1,),
    "hidden_act": ("swish", "silu"),
    "tie_word_embeddings": (False,),
    "use_short_conv": (False,),
}
# The kernel that runs, how channels that do not meet are laid out in it, convolutions there are
# none of, and a length nothing depends on.
IDLE = ("attn_mode", "num_heads", "conv_size", "share_conv_kernel", "max_position_embeddings")
SHARED = ("vocab_size", "hidden_size", "num_hidden_layers", "initializer_range")


def read(fields: Mapping[str, Any]) -> DecoderConfig:
    """The decoder these fields mean.

    Raises:
        ValueError: a field that is unknown, or a value this model does not have.
    """
    kept = accepted(MODEL_TYPE, fields, DEFAULTS, FIXED, IDLE)
    ratio = kept["hidden_ratio"] or 4
    inner = kept["intermediate_size"] or -(-int(kept["hidden_size"] * ratio * 2 / 3) // 256) * 256
    return configuration(
        MODEL_TYPE,
        {
            **{name: kept[name] for name in SHARED},
            "norm_eps": kept["rms_norm_eps"],
            "intermediate_size": inner,
            "mixers": [{"kind": "mlgru", "use_lower_bound": kept["use_lower_bound"]}],
            "linears": "ternary",
            "tie_word_embeddings": False,
        },
    )


def write(config: DecoderConfig) -> dict[str, Any] | None:
    """The fields of a decoder; None for one that is not all MLGRU and ternary as released."""
    mixer = config.mixers[0]
    if (
        not isinstance(mixer, MLGRUConfig)
        or any(other != mixer for other in config.mixers)
        or mixer.variant != "released"
        or (config.channel_mixer, config.linears) != ("swiglu", "ternary")
        or config.max_position_embeddings is not None
    ):
        return None
    return {
        "architectures": ["HGRNBitForCausalLM"],
        **{name: getattr(config, name) for name in SHARED},
        "rms_norm_eps": config.norm_eps,
        "intermediate_size": config.inner,
        "hidden_ratio": 4,
        "use_lower_bound": mixer.use_lower_bound,
        **{name: values[0] for name, values in FIXED.items()},
        "attn_mode": "fused_recurrent",
        "num_heads": 1,
    }


LAYOUT = Layout(MODEL_TYPE, read, write)
