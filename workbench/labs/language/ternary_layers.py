"""What rounding to three values does to each layer, and what training with it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.progress import Report, silent

if TYPE_CHECKING:
    from workbench.language.decoder import Decoder

FORMATS = {
    "float32": 32.0,
    "bfloat16": 16.0,
    "int8": 8.0,
    "TQ2_0, blocks with scales": 2.0625,
    "two bits": 2.0,
    "TQ1_0, blocks with scales": 1.6875,
    "TL2, triples": 5 / 3,
    "base 3, five a byte": 1.6,
}
"""Bits a weight of each format (two bits and base 3 are ours; the others by their definitions)."""

EDGES = np.linspace(-4, 4, 65)
"""Of the histogram: latent weight over the matrix's mean of |W|."""


@dataclass(frozen=True)
class TernaryLayer:
    """One matrix.

    Attributes:
        name: its path in the model.
        block: layer of the model, from 0; -1 for the head.
        shares: of -1, 0 and 1.
        error: root mean square of W − s T over that of W.
        histogram: share of weights in each bin of `EDGES`; the ends hold what is beyond.
        weights: in the matrix.
    """

    name: str
    block: int
    shares: tuple[float, float, float]
    error: float
    histogram: Sequence[float]
    weights: int


def ternary_layers(model: Decoder, report: Report = silent) -> list[TernaryLayer]:
    """Every ternary matrix of a model.

    Raises:
        ValueError: a model without ternary layers.
    """
    from flax import nnx

    from workbench.language.bit_linear import BitLinear

    nodes = [(path, node) for path, node in nnx.iter_graph(model) if isinstance(node, BitLinear)]
    if not nodes:
        raise ValueError(
            f"linears={model.config.linears!r}: this model has no ternary layers; open one of "
            "MatMul-free LM, or one trained with linears='ternary'"
        )
    found = []
    for place, (path, node) in enumerate(nodes):
        name = ".".join(str(part) for part in path if part != "model")
        report(place, len(nodes), name)
        weight = np.asarray(node.kernel[...], np.float64)
        signs, size = (np.asarray(part, np.float64) for part in node.quantized())
        error = float(np.sqrt(np.mean((weight - size * signs) ** 2) / np.mean(weight**2)))
        minus, zero, plus = (float(np.mean(signs == value)) for value in (-1, 0, 1))
        scaled = np.clip(weight / size, EDGES[0], EDGES[-1])
        counts, _ = np.histogram(scaled, EDGES)
        block = next((part for part in path if isinstance(part, int)), -1)
        found.append(TernaryLayer(
            name, block, (minus, zero, plus), error, (counts / weight.size).tolist(), weight.size,
        ))  # fmt: skip
    return sorted(found, key=lambda one: (one.block < 0, one.block))


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of temporaries of an update's gradient, by XLA's own analysis."""

    fused: int
    plain: int
    layers: int

    @property
    def saving(self) -> float:
        """Share the fused form saves."""
        return 1 - self.fused / self.plain


def training_memory(width: int, layers: int, tokens: int, report: Report) -> TrainingMemory:
    """Compiles loss and gradient of a MatMul-free model in both forms; runs neither.

    Args:
        tokens: of one row, batch 1.
    """
    sizes = []
    for place, fused in enumerate((True, False)):
        report(place, 2, f"Compiling {'the fused' if fused else 'the plain'} form")
        sizes.append(_temporaries(width, layers, tokens, fused))
    report(2, 2, "Compiled")
    return TrainingMemory(sizes[0], sizes[1], layers)


def _temporaries(width: int, layers: int, tokens: int, fused: bool) -> int:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.bit_linear import BitLinear
    from workbench.language.config import DecoderConfig
    from workbench.language.cross_entropy import mean_loss
    from workbench.language.decoder import Decoder
    from workbench.language.mixers import mixer_of
    from workbench.model_files.abstract import abstract

    config = DecoderConfig(
        vocab_size=32000, hidden_size=width, num_hidden_layers=layers,
        mixers=(mixer_of({"kind": "mlgru"}),), linears="ternary", tie_word_embeddings=False,
    )  # fmt: skip
    model = abstract(Decoder, config, dtype=jnp.float32)
    for _, node in nnx.iter_graph(model):
        if isinstance(node, BitLinear):
            node.fused = fused
    graph, weights = nnx.split(model)

    def loss(weights: Any, ids: Any) -> Any:
        decoder = nnx.merge(graph, weights)
        return mean_loss(decoder.logits, decoder.features(ids), ids)

    ids = jax.ShapeDtypeStruct((1, tokens), jnp.int32)
    compiled = jax.jit(jax.grad(loss)).lower(weights, ids).compile()
    analysis: Any = compiled.memory_analysis()
    return int(analysis.temp_size_in_bytes)
