"""Published shapes with their parameter counts, and small ones of the same kinds to train here."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder
from workbench.language.mixers import mixer_of
from workbench.language.mixing import MixerConfig
from workbench.model_files.abstract import abstract

VOCABULARY = 32000
"""Of the tokenizers of Mistral and LLaMA, which all of these were trained with."""


def _shape(width: int, layers: int, kind: str, *, tied: bool = False, **fields: Any) -> Any:
    mixer = {name: fields.pop(name) for name in list(fields) if name not in _SHARED}
    return DecoderConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_hidden_layers=layers,
        mixers=(mixer_of({"kind": kind, **mixer}),),
        tie_word_embeddings=tied,
        **fields,
    )


_SHARED = DecoderConfig.model_fields

PUBLISHED: dict[str, DecoderConfig] = {
    # Yang et al. 2023, the released training configurations of GLA and its Transformer++.
    "gla-340m": _shape(1024, 24, "gla", tied=True),
    "gla-1.3b": _shape(2048, 24, "gla"),
    "transformer++-340m": _shape(1024, 24, "attention", tied=True, num_heads=16),
    "transformer++-1.3b": _shape(2048, 24, "attention", num_heads=32),
    # Zhu et al. 2024, the released models.
    "matmulfree-370m": _shape(1024, 24, "mlgru", linears="ternary"),
    "matmulfree-1.3b": _shape(2048, 24, "mlgru", linears="ternary"),
    "matmulfree-2.7b": _shape(2560, 32, "mlgru", linears="ternary"),
    # What flash-linear-attention makes of each paper's largest model: its defaults.
    "retnet-1.3b": _shape(2048, 24, "retnet", intermediate_size=2816),
    "hgrn2-1.3b": _shape(2048, 24, "hgrn2"),
    "mamba2-1.3b": _shape(2048, 48, "mamba2", channel_mixer="none", norm_eps=1e-5),
    "delta_net-1.3b": _shape(2048, 24, "delta_net", num_heads=16),
    "gated_delta_net-1.3b": _shape(2048, 21, "gated_delta_net"),
}
"""Shapes of models that were published, by name."""

BENCHMARKED: dict[str, DecoderConfig] = {
    name: DecoderConfig(
        vocab_size=8192,
        hidden_size=512,
        num_hidden_layers=8,
        mixers=(mixer_of({"kind": kind, "num_heads": heads}),),
        intermediate_size=1536,
    )
    for name, kind, heads in (("gla-30m", "gla", 4), ("transformer++-30m", "attention", 8))
}
"""Shapes of ours whose training step is timed on a CPU."""

RUNGS: dict[str, tuple[int, int, int]] = {
    "10k": (10_000, 16, 2),
    "30k": (30_000, 32, 2),
    "100k": (100_000, 48, 3),
    "300k": (300_000, 80, 4),
    "600k": (600_000, 112, 4),
    "1m": (1_000_000, 128, 5),
}
"""Parameters, width and layers of each size of the ladder."""

KINDS = (
    "attention",
    "delta_net",
    "gated_delta_net",
    "gla",
    "gla-fixed",
    "gla-none",
    "gla-scalar",
    "hgrn2",
    "mamba2",
    "matmulfree",
    "mlgru",
    "retnet",
)
"""What the ladder has: each mixer, GLA with the other gates of its ablation, and "matmulfree",
whose projections are ternary."""

LEAST_STATE = 8
NARROWER = 4


def parameters(config: DecoderConfig) -> int:
    """Numbers a model of this shape learns; no weights are made.

    Cost: under a second.
    """
    leaves = jax.tree.leaves(nnx.state(abstract(Decoder, config, dtype=jnp.float32), nnx.Param))
    return sum(int(np.prod(leaf.shape)) for leaf in leaves)


@cache
def multiplied(config: DecoderConfig) -> int:
    """Weights in products with matrices: one multiply-add each a token, beside the mixers' own.

    Not those of an embedding that is only read, of gains, bounds and short convolutions.
    """
    shapes = nnx.to_pure_dict(nnx.state(abstract(Decoder, config, dtype=jnp.float32), nnx.Param))
    shapes["model"].pop("lower_bounds", None)
    if not config.tie_word_embeddings:
        shapes["model"].pop("embeddings")
    return sum(int(np.prod(one.shape)) for one in jax.tree.leaves(shapes) if len(one.shape) == 2)


def ladder(
    kind: str | MixerConfig, size: str | tuple[int, int, int], *, vocab_size: int = 256
) -> DecoderConfig:
    """A small model of a kind, with as many parameters as every other of its size; ours.

    Width and layers are those of the size, heads follow the width, and the feed-forward layers
    take what the mixer leaves. Two kinds differ: Mamba-2 has no feed-forward layers, as published,
    so that layers and the size of its state are what is chosen; "matmulfree" has a head beside its
    embedding, and is narrower where both would take too much.

    Args:
        kind: of `KINDS`, or a mixer.
        size: "10k", "30k", "100k", "300k", "600k" or "1m"; or parameters, width and layers.
        vocab_size: tokens; 256 for bytes.

    Raises:
        ValueError: a kind or size there is not, or no room for the mixer in that size.
    """
    if isinstance(size, str) and size not in RUNGS:
        raise ValueError(f"size={size!r} is not on the ladder; use {', '.join(RUNGS)}")
    if isinstance(kind, str) and kind not in KINDS:
        raise ValueError(f"kind={kind!r} is not on the ladder; use {', '.join(KINDS)} or a mixer")
    return _fitted(kind, RUNGS[size] if isinstance(size, str) else size, vocab_size)


@cache
def _fitted(kind: str | MixerConfig, rung: tuple[int, int, int], vocab_size: int) -> DecoderConfig:
    budget, width, layers = rung
    if kind == "mamba2":
        # Up to twice the layers, as its makers have it, of a state that is not too small.
        for deep in range(2 * layers, 0, -1):
            config = _small(kind, width, deep, vocab_size)
            state = _solved(config, "state_size", budget)
            if state >= LEAST_STATE:
                return _with(config, "state_size", state)
        raise _too_small(kind, budget, vocab_size)
    while width > NARROWER:
        config = _small(kind, width, layers, vocab_size)
        inner = _solved(config, "intermediate_size", budget)
        if inner >= (width if kind == "matmulfree" else 1):
            return config.model_copy(update={"intermediate_size": inner})
        if kind != "matmulfree":
            break
        width -= NARROWER
    raise _too_small(kind, budget, vocab_size)


def _too_small(kind: str | MixerConfig, budget: int, vocab_size: int) -> ValueError:
    return ValueError(
        f"{budget:,} parameters have no room for kind={kind!r} beside an embedding of "
        f"vocab_size={vocab_size}; take a larger size or fewer tokens"
    )


def _solved(config: DecoderConfig, name: str, budget: int) -> int:
    """The value of a field, in which parameters are linear, that comes nearest to the budget."""
    one, two = (parameters(_with(config, name, value)) for value in (1, 2))
    return 1 + round((budget - one) / (two - one))


def _with(config: DecoderConfig, name: str, value: int) -> DecoderConfig:
    if name in _SHARED:
        return config.model_copy(update={name: value})
    mixer = config.mixers[0].model_copy(update={name: value})
    return config.model_copy(update={"mixers": (mixer,)})


def _small(kind: str | MixerConfig, width: int, layers: int, vocab_size: int) -> DecoderConfig:
    mixer = kind if isinstance(kind, MixerConfig) else _small_mixer(kind, width)
    return DecoderConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=layers,
        mixers=(mixer,),
        channel_mixer="none" if kind == "mamba2" else "swiglu",
        linears="ternary" if kind == "matmulfree" else "dense",
        tie_word_embeddings=kind != "matmulfree",
        intermediate_size=1,
    )


def _small_mixer(kind: str, width: int) -> MixerConfig:
    """Heads as the published models share them out, and fewer where they would be too narrow."""
    heads = 4 if width >= 64 else 2
    fields: dict[str, dict[str, Any]] = {
        "attention": {"num_heads": width // 16},
        "delta_net": {"num_heads": heads},
        "gated_delta_net": {"num_heads": 3, "head_dim": width // 4},
        "gla": {"num_heads": heads},
        "hgrn2": {"expand_ratio": 16},
        "mamba2": {"head_dim": 16},
        "mlgru": {},
        "retnet": {"num_heads": heads},
    }
    name, _, gate = kind.partition("-")
    name = "mlgru" if name == "matmulfree" else name
    return mixer_of({"kind": name, **fields[name], **({"gate": gate} if gate else {})})
