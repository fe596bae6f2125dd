"""What decoding takes at a context: flat where the state is constant, linear where it is a cache.

Random weights in shapes of 30M parameters, batch 1, float32. Each model at each context is a
process of its own, whose memory is the high-water mark above weights and compiled program while a
few tokens are written. The state is that of a text which has been read but for those tokens: its
size and its time do not depend on what was read, so that nothing is.

python benchmarks/decode_memory.py [--tiny] [--steps N]
"""

from __future__ import annotations

import ctypes
import statistics
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from record import Benchmark, Figure
from sides import Clock, Memory, worker

if TYPE_CHECKING:
    from workbench.language import Decoder, DecoderConfig

MIB = 2**20
CONTEXTS, TINY_CONTEXTS = (1024, 4096, 16384), (256, 1024)
GLA, PLAIN = "GLA", "Transformer++"
HALF, PACKED = "Transformer++, cache in bfloat16", "Transformer++, XQuant at 4 bits"
MODELS = (GLA, PLAIN, HALF, PACKED)
FLAT = 1.0
"""MiB that a constant state may seem to grow: pages of the process and not of the state."""


def main() -> None:
    """Every model at every context, one after another."""
    more = [("--steps", {"type": int, "default": 24, "help": "tokens written at each context"})]
    bench, options = Benchmark.from_command(
        __file__, "Memory and speed of decoding against context", more=more
    )
    contexts, steps = (TINY_CONTEXTS, 4) if bench.tiny else (CONTEXTS, options.steps)
    for name in MODELS:
        found = [measured(bench, name, context, steps) for context in contexts]
        summed_up(bench, name, contexts, found)
    bench.finish()


def measured(bench: Benchmark, name: str, context: int, steps: int) -> dict[str, Any]:
    """One model at one context."""
    with worker("decode_memory", decoding, name, context, steps, bench.tiny) as side:
        found = side.ask("write")
    bench.raw.setdefault(name, {})[str(context)] = found
    seconds = sorted(found["seconds"])
    bench.add(
        Figure(
            f"{name}: memory of decoding at {context} tokens",
            found["peak"] / MIB,
            "MiB",
            published=f"state of {found['predicted'] / MIB:.4g} MiB predicted",
        ),
        Figure(
            f"{name}: tokens a second at {context} tokens",
            1 / statistics.median(seconds),
            "1/s",
            1 / seconds[-1],
            1 / seconds[0],
        ),
    )
    return found


def summed_up(
    bench: Benchmark, name: str, contexts: tuple[int, ...], found: list[dict[str, Any]]
) -> None:
    """Growth from the shortest context to the longest."""
    tokens = contexts[-1] - contexts[0]
    grown = found[-1]["peak"] - found[0]["peak"]
    predicted = (found[-1]["predicted"] - found[0]["predicted"]) / tokens
    words = f"from {contexts[0]} to {contexts[-1]} tokens"
    if name == GLA:
        bench.add(Figure(f"{name}: memory grown {words}", grown / MIB, "MiB", at_most=FLAT))
        return
    bench.add(
        Figure(
            f"{name}: memory a token of context, {words}",
            grown / tokens,
            "B",
            published=f"{predicted:.5g} B of state predicted",
        )
    )


def decoding(name: str, context: int, steps: int, tiny: bool) -> Iterator[dict[str, Any]]:
    """Writes tokens at the end of a context, and tells what it took."""
    import jax
    import numpy as np

    from workbench.language.generation import GREEDY, programs
    from workbench.language.generation.sampling import Draws

    model = made(name, tiny)
    structure, weights = programs.parts(model)
    draws, tokens = Draws.of([(GREEDY, 0, 0)]), np.zeros(1, np.int32)

    def state() -> Any:
        return programs.begun(structure, weights, batch=1, length=context)

    program = programs.write.lower(
        structure, weights, tokens, jax.eval_shape(state), draws
    ).compile()
    jax.block_until_ready(state())  # compiled, and given back
    ctypes.CDLL(None).malloc_trim(0)
    memory = Memory()
    states = nearly_full(state(), context - steps)
    seconds = []
    for _ in range(steps):
        clock = Clock()
        found, states = program(weights, tokens, states, draws)
        tokens = np.asarray(found)
        seconds.append(clock.seconds())
    del seconds[0]  # the first touches memory that is new
    yield {
        "peak": memory.peak(),
        "held": sum(leaf.nbytes for leaf in jax.tree.leaves(states)),
        "predicted": predicted(model.config, context),
        "temporaries": program.memory_analysis().temp_size_in_bytes,
        "seconds": seconds,
    }


def nearly_full(states: list[Any], seen: int) -> list[Any]:
    """Caches as after so many tokens."""
    import jax
    import numpy as np

    told = [jax.device_put(np.full(1, seen, np.int32)) for _ in states]
    return [
        state._replace(seen=count) if hasattr(state, "seen") else state
        for state, count in zip(states, told, strict=True)
    ]


def predicted(config: DecoderConfig, context: int) -> int:
    """Bytes of state by the formulas of its mixers."""
    layers = range(config.num_hidden_layers)
    return sum(config.mixer(layer).state_bytes(config.hidden_size, context) for layer in layers)


def made(name: str, tiny: bool) -> Decoder:
    """A model with random weights."""
    from flax import nnx

    from workbench.language import Decoder
    from workbench.language.generation import with_cache
    from workbench.language.mixers.xquant import XQuant
    from workbench.language.published import BENCHMARKED, ladder

    if tiny:
        config = ladder("gla" if name == GLA else "attention", "30k")
    else:
        config = BENCHMARKED["gla-30m" if name == GLA else "transformer++-30m"]
    model = Decoder(config, rngs=nnx.Rngs(params=0))
    if name == HALF:
        return with_cache(model, "bfloat16")
    if name == PACKED:
        return with_cache(model, XQuant(bits=4, group=32 if tiny else 128))
    return model


if __name__ == "__main__":
    main()
