"""Memory of training MatMul-free LM of 370M with fused and with plain BitLinear, as compiled.

The fused layer keeps its input for the backward pass and rounds again; the plain one keeps what it
computes on the way. Both steps give loss and gradients of all weights, without rematerialisation,
in float32, and are not run. Three figures of each: the activations that the backward pass is
handed, counted from shapes; XLA's plan of the compiled step for this device; and on a CPU that plan
with the order of computing that needs least. They differ: XLA computes cheap values again instead
of keeping them, and on a CPU also joins what the fused layer computes twice with what it computed
before, and keeps that. The published figure is of torch, which keeps what it was told to: the first
is its like.

python benchmarks/bit_linear_memory.py [--tiny] [--batch N] [--length N]
"""

from __future__ import annotations

import sys
import time
from typing import Any

from record import Benchmark, Figure
from ternary_decode import FULL, TINY
from ternary_models import configuration

KEPT, WEIGHTS, PLANNED, ORDERED = (
    "activations kept for the backward pass",
    "weights and their gradients",
    "everything else in XLA's plan",
    "everything else in XLA's plan, in the order of least memory",
)
LEAST = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
PUBLISHED = "up to 61 % less (Zhu et al. 2024, abstract; on GPUs, its largest model)"


def main() -> int:
    """Compiles a training step with either layer."""
    more = [
        ("--batch", {"type": int, "default": 4, "help": "texts"}),
        ("--length", {"type": int, "default": 2048, "help": "tokens of each"}),
    ]
    title = "Training memory with fused and plain BitLinear"
    bench, options = Benchmark.from_command(__file__, title, more=more)
    shape = TINY if bench.tiny else FULL
    batch, length = (2, 64) if bench.tiny else (options.batch, options.length)
    words = "tiny model" if bench.tiny else "370M"
    words = f"{words}, {batch} texts of {length} tokens"
    plans = {}
    for name, fused in (("fused", True), ("plain", False)):
        begun = time.perf_counter()
        plans[name] = plan(shape, batch, length, fused=fused)
        bench.raw[name] = {**plans[name], "seconds to compile": time.perf_counter() - begun}
        for part, count in plans[name].items():
            words_of = f"{words}: {name}, {part}"
            bench.add(Figure(words_of, count / 2**20, "MiB", basis="modelled"))
    for title, parts in (
        ("activations kept", (KEPT,)),
        ("XLA's plan without weights and gradients", (PLANNED,)),
        ("XLA's plan", (WEIGHTS, PLANNED)),
        ("XLA's plan in the order of least memory", (WEIGHTS, ORDERED)),
    ):
        if not all(part in plans["fused"] for part in parts):
            continue
        small, large = (sum(plans[name][part] for part in parts) for name in ("fused", "plain"))
        less = 100 * (1 - small / large)
        bench.add(
            Figure(
                f"{words}: memory fused saves, {title}", less, "%",
                basis="modelled", published=PUBLISHED,
            )
        )  # fmt: skip
    bench.finish()
    return 0


def plan(shape: tuple[int, ...], batch: int, length: int, *, fused: bool) -> dict[str, int]:
    """Bytes of a step that gives the loss and the gradients of all weights, of shapes alone."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.bit_linear import BitLinear
    from workbench.language.cross_entropy import mean_loss
    from workbench.language.decoder import Decoder
    from workbench.measure.memory import estimate_of
    from workbench.model_files.abstract import abstract

    model = abstract(Decoder, configuration(*shape), dtype=jnp.float32)
    for _, node in list(nnx.iter_graph(model)):
        if isinstance(node, BitLinear):
            node.fused = fused
    graph, weights = nnx.split(model)

    def loss(weights: Any, tokens: Any, targets: Any) -> Any:
        merged = nnx.merge(graph, weights)
        return mean_loss(merged.logits, merged.features(tokens), targets)

    tokens = jax.ShapeDtypeStruct((batch, length), jnp.int32)
    lowered = jax.jit(jax.value_and_grad(loss)).lower(weights, tokens, tokens)
    found = estimate_of(lowered.compile())
    if found is None:
        raise RuntimeError("this device gives no plan of its memory")
    ordered = {}
    if jax.default_backend() == "cpu":
        least = estimate_of(lowered.compile(compiler_options=LEAST))
        ordered = {ORDERED: least.temporaries}
    handed = jax.eval_shape(lambda *given: jax.vjp(loss, *given)[1], weights, tokens, tokens)
    return {
        KEPT: sum(
            leaf.size * leaf.dtype.itemsize
            for leaf in jax.tree.leaves(handed)
            if leaf.shape[:2] == (batch, length) or leaf.shape[:1] == (batch * length,)
        ),
        WEIGHTS: found.arguments + found.outputs - found.aliased,
        PLANNED: found.temporaries,
        **ordered,
    }


if __name__ == "__main__":
    sys.exit(main())
