"""How long the gates of a model remember, on a text.

A channel's memory at token t is the number of tokens until what it held at t is down to 1/e: the
least n with sum_{j=t+1..t+n} −log a_j ≥ 1. Where the text ends before, the mean decay of the rest
is taken to go on. The measure is ours; GLA's paper shows gates, not lengths.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from workbench.progress import Report, silent

if TYPE_CHECKING:
    from workbench.language.decoder import Decoder

SHOWN = 64
"""Most channels of a head that are kept apart: beyond it their quantiles stand for them."""

LONGEST = 1e6
"""A memory no text here could tell from a longer one [tokens]."""


@dataclass(frozen=True)
class Head:
    """One head's channels.

    Attributes:
        median, low, high: of all channels and tokens: the half, the tenth and nine tenths [tokens].
        channels: each channel's median, from the shortest memory to the longest [tokens].
        kept: share of its state that it keeps at each token, mean over channels.
    """

    median: float
    low: float
    high: float
    channels: Sequence[float]
    kept: Sequence[float]


@dataclass(frozen=True)
class LayerGates:
    """One layer: its heads, and its learned lower bounds where it has some.

    Attributes:
        bounds: the tenth, the half and nine tenths of its channels' least gates.
    """

    layer: int
    heads: Sequence[Head]
    bounds: Sequence[float] = ()


@dataclass(frozen=True)
class Gates:
    """The gates of a model on a text, token by token."""

    tokens: Sequence[str]
    layers: Sequence[LayerGates]

    def record(self) -> dict[str, Any]:
        """Plain values, which `of_record` reads."""
        return asdict(self)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Gates:
        """The gates of what `record` gave."""
        layers = [
            LayerGates(one["layer"], [Head(**head) for head in one["heads"]], one["bounds"])
            for one in record["layers"]
        ]
        return cls(record["tokens"], layers)


def gates_of(model: Decoder, ids: Any, tokenizer: Any, report: Report = silent) -> Gates:
    """The gates of every layer that has some.

    Args:
        model: a decoder whose mixers are GLA's or MLGRU, or have a public `log_decay`.
        ids: tokens of the text, at least 2.

    Raises:
        ValueError: a model without gates, or a text too short.
    """
    if len(ids) < 2:
        raise ValueError("text: it has fewer than 2 tokens; gates need some text to run on")
    layers = []
    count = len(model.model.layers)
    report(0, count, f"Compiling for {len(ids)} tokens")
    for layer, log_gates, bound in _log_gates(model, ids):
        report(layer, count, f"Layer {layer + 1}")
        heads = [_head(log_gates[:, head]) for head in range(log_gates.shape[1])]
        bounds = () if bound is None else tuple(np.quantile(bound, (0.1, 0.5, 0.9)).tolist())
        layers.append(LayerGates(layer, heads, bounds))
    if not layers:
        kinds = ", ".join(dict.fromkeys(mixer.kind for mixer in model.config.mixers))
        raise ValueError(f"This model has no forget gates to look at; its mixers are {kinds}")
    return Gates([tokenizer.decode([int(one)]) for one in ids], layers)


def _log_gates(model: Decoder, ids: Any) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """Layer, log-gates [T, heads, channels], and lower bounds [width] where there are some."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    graph, weights = nnx.split(model)

    @jax.jit
    def read(weights: Any, tokens: Any) -> dict[int, Any]:
        model = nnx.merge(graph, weights)
        x = model.model.embeddings(tokens).astype(model.dtype)
        found = {}
        contexts = model.model.contexts(None)
        for place, (layer, context) in enumerate(zip(model.model.layers, contexts, strict=True)):
            normed = layer.attn_norm(x)
            if hasattr(layer.attn, "forget"):
                found[place] = jnp.log(layer.attn.forget(normed, context))[0, :, None]
            elif hasattr(layer.attn, "log_decay"):
                gates = layer.attn.log_decay(normed)
                if gates is not None and gates.ndim == 1:  # of the heads, the same at every token
                    gates = jnp.broadcast_to(gates, (1, len(ids), *gates.shape))
                if gates is not None:
                    found[place] = gates[0]
            x = layer(x, None, context)[0]
        return found

    contexts = model.model.contexts(None)
    for place, gates in read(weights, jnp.asarray(ids)[None]).items():
        known, config = contexts[place].lower_bound, model.config.mixer(place)
        bound = np.asarray(known, np.float64) if config.bounded and known is not None else None
        yield place, np.asarray(gates, np.float64).reshape(len(ids), gates.shape[1], -1), bound


def _head(log_gates: Float[np.ndarray, "T K"]) -> Head:
    lengths = memory(log_gates)
    low, median, high = np.quantile(lengths, (0.1, 0.5, 0.9)).tolist()
    channels = np.sort(np.median(lengths, axis=0))
    if len(channels) > SHOWN:
        channels = np.quantile(channels, np.linspace(0, 1, SHOWN))
    kept = np.exp(log_gates).mean(axis=1)
    return Head(
        median,
        low,
        high,
        [_short(c) for c in channels.tolist()],
        [_short(k) for k in kept.tolist()],
    )


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def memory(log_gates: Float[np.ndarray, "T K"]) -> Float[np.ndarray, "S K"]:
    """Tokens until what a channel held is down to 1/e, from each token of the first half.

    Args:
        log_gates: log a_t, at most 0.
    """
    tokens, channels = log_gates.shape
    starts = max(1, tokens // 2)
    total = np.concatenate([np.zeros((1, channels)), np.cumsum(-log_gates, axis=0)])
    found = np.empty((starts, channels))
    for channel in range(channels):
        sums = total[:, channel]
        from_here = sums[1 : starts + 1]  # the gates after token t are t + 1 on
        end = np.searchsorted(sums, from_here + 1.0)
        inside = end <= tokens
        before = sums[np.minimum(end, tokens) - 1]
        step = sums[np.minimum(end, tokens)] - before
        part = np.divide(from_here + 1 - before, step, out=np.ones_like(step), where=step > 0)
        exact = end - 1 + part - np.arange(1, starts + 1)
        mean = (sums[-1] - from_here) / np.maximum(tokens - np.arange(1, starts + 1), 1)
        going_on = 1.0 / np.maximum(mean, 1.0 / LONGEST)
        found[:, channel] = np.where(inside, exact, going_on)
    return np.clip(found, 1.0 / math.e, LONGEST)
