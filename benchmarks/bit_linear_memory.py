"""Memory of training MatMul-free LM of 370M with fused and with plain BitLinear, as compiled.

The fused layer keeps its input for the backward pass and rounds again; the plain one keeps what it
computes on the way. Both steps give loss and gradients of all weights, without rematerialisation,
and are compiled and not run: the figures are XLA's plans for this device, in float32.

python benchmarks/bit_linear_memory.py [--tiny] [--batch N] [--length N]
"""

from __future__ import annotations

import sys
import time
from typing import Any

from record import Benchmark, Figure
from ternary_decode import FULL, TINY, configuration

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
        for part in ("weights and their gradients", "everything else"):
            value = plans[name][part] / 2**20
            bench.add(Figure(f"{words}: {name}, {part}", value, "MiB", basis="modelled"))
    fused, plain = plans["fused"], plans["plain"]
    totals = [sum(one.values()) for one in (fused, plain)]
    rest = [one["everything else"] for one in (fused, plain)]
    for title, (small, large) in (("all", totals), ("weights and gradients aside", rest)):
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
    from workbench.measure.memory import estimate
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
    found = estimate(jax.value_and_grad(loss), weights, tokens, tokens)
    if found is None:
        raise RuntimeError("this device gives no plan of its memory")
    return {
        "weights and their gradients": found.arguments + found.outputs - found.aliased,
        "everything else": found.temporaries,
    }


if __name__ == "__main__":
    sys.exit(main())
