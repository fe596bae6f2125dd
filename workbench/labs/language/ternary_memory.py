"""What training a MatMul-free model holds with either form of the ternary layer, as compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.measure.memory import MemoryEstimate
from workbench.progress import Report

DECIDES = (24, 4, 2048)
"""Layers, texts and tokens of each: the setting at which our saving is held against the paper's."""


@dataclass(frozen=True)
class TrainingMemory:
    """XLA's plans of loss and gradients, with fused and with plain layers."""

    fused: MemoryEstimate
    plain: MemoryEstimate

    @property
    def saving(self) -> float:
        """Share of arguments, outputs and temporaries together that the fused form saves."""
        return 1 - self.fused.total / self.plain.total


def training_memory(
    width: int, layers: int, batch: int, tokens: int, report: Report
) -> TrainingMemory:
    """Compiles loss and gradients of a MatMul-free model in both forms; runs neither.

    Args:
        batch: texts.
        tokens: of each.

    Raises:
        RuntimeError: a device that gives no plan of its memory.
    """
    plans = []
    for place, fused in enumerate((True, False)):
        report(place, 2, f"Compiling {'the fused' if fused else 'the plain'} form")
        plans.append(_plan(width, layers, batch, tokens, fused))
    report(2, 2, "Compiled")
    return TrainingMemory(*plans)


def _plan(width: int, layers: int, batch: int, tokens: int, fused: bool) -> MemoryEstimate:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.bit_linear import BitLinear
    from workbench.language.config import DecoderConfig
    from workbench.language.cross_entropy import mean_loss
    from workbench.language.decoder import Decoder
    from workbench.language.mixers import mixer_of
    from workbench.measure.memory import estimate
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

    def loss(weights: Any, ids: Any, targets: Any) -> Any:
        decoder = nnx.merge(graph, weights)
        return mean_loss(decoder.logits, decoder.features(ids), targets)

    ids = jax.ShapeDtypeStruct((batch, tokens), jnp.int32)
    found = estimate(jax.value_and_grad(loss), weights, ids, ids)
    if found is None:
        raise RuntimeError("this device gives no plan of its memory")
    return found
