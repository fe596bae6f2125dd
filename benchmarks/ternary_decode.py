"""Decoding a MatMul-free LM of 370M from packed weights on this CPU, beside its dense forms.

One model with random weights, four ways: two bits a weight, its layers in a scan; the same weights
as float32 in JAX, layers unrolled, and in torch; and a byte a weight in JAX, which no model is
released in, but which is the fastest product without packing. Each side is in a process of its own
and decodes at batch 1, a few tokens a turn; their logits are compared. The floor is the time that
reading the packed bytes takes.

python benchmarks/ternary_decode.py [--tiny] [--repeats N] [--tokens N] [--threads one]

Needs torch beside jax: `make test-parity` makes `.venv-parity`, which runs this where this Python
has no torch.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

from record import THREADS, Benchmark, Figure, elsewhere
from sides import Clock, Memory, worker
from ternary_matmul_cpu import STREAMED, bandwidth, spread
from ternary_models import (
    dense_model,
    int8_table,
    latent,
    matrix_shapes,
    packed_model,
    rounded,
)

NO_TORCH = "skipped: torch's side, for torch is not here (make test-parity)"
SCRIPT = "ternary_decode"
FULL, TINY = (24, 1024, 2816, 32000), (2, 128, 256, 512)
"""Layers, width, inner width and tokens of the vocabulary."""
OURS, DENSE, TORCH, BYTES = "packed", "float32, JAX", "float32, torch", "int8, JAX"
LARGEST_DIFFERENCE = 0.15


def main() -> int:
    """Loads all sides, lets them decode by turns, and compares their logits."""
    if (status := elsewhere(__file__)) is not None:
        return status
    more = [
        ("--repeats", {"type": int, "default": 15}),
        ("--tokens", {"type": int, "default": 16, "help": "a turn"}),
        THREADS,
    ]
    title = "Decoding from packed ternary weights"
    bench, options = Benchmark.from_command(__file__, title, more=more)
    torch = find_spec("torch") is not None
    if not torch:
        print(NO_TORCH)
    shape, tokens = (TINY, 3) if bench.tiny else (FULL, options.tokens)
    repeats = 2 if bench.tiny else options.repeats
    words = "tiny model" if bench.tiny else "370M, batch 1"
    speed = bandwidth(bench, 1 << 20 if bench.tiny else STREAMED, repeats)
    sides: dict[str, Any] = {OURS: packed_side, DENSE: dense_side, BYTES: bytes_side}
    if torch:
        sides[TORCH] = torch_side
    with ExitStack() as stack:
        asked = {
            n: stack.enter_context(worker(SCRIPT, f, *shape, tokens)) for n, f in sides.items()
        }
        loaded = {name: side.ask("load") for name, side in asked.items()}
        turns: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(repeats):
            for name, side in asked.items():
                turns[name].append(side.ask("decode")["seconds"] / tokens)
        ended = {name: side.ask("finish") for name, side in asked.items()}
    bench.raw |= {"loaded": loaded, "seconds a token": turns, "ended": ended}
    report(bench, words, speed)
    bench.finish()
    return 0


def report(bench: Benchmark, words: str, speed: float) -> None:
    """Figures of time, of memory, and of how far the sides agree."""
    import numpy as np

    loaded, turns, ended = (bench.raw[k] for k in ("loaded", "seconds a token", "ended"))
    agree(bench, words, ended)
    seconds = {name: np.array(taken) for name, taken in turns.items()}
    for name, taken in seconds.items():
        bench.add(spread(f"{words}: {name}, tokens a second", 1 / taken, "1/s"))
    floats = (n for n in seconds if n not in (OURS, BYTES))
    peer = min(floats, key=lambda n: float(np.median(seconds[n])))
    wanted = None if bench.tiny else 5.0
    ratio = seconds[peer] / seconds[OURS]
    bench.add(spread(f"{words}: time of {peer} over packed", ratio, "×", at_least=wanted))
    in_bytes = seconds[BYTES] / seconds[OURS]
    bench.add(spread(f"{words}: time of {BYTES} over packed", in_bytes, "×"))
    held, dense = loaded[OURS]["bytes"], loaded[DENSE]["bytes"]
    floor = held["body and head"] / speed
    bench.add(
        Figure(f"{words}: floor, reading the packed bytes", 1e3 * floor, "ms"),
        spread(f"{words}: packed time over its floor", seconds[OURS] / floor, "×"),
    )
    for name in (OURS, DENSE, BYTES):
        for part, count in loaded[name]["bytes"].items():
            bench.add(Figure(f"{words}: {name}, {part}", count / 2**20, "MiB", basis="modelled"))
    body = dense["body and head"] / held["body and head"]
    whole = sum(dense.values()) / sum(held.values())
    least = None if bench.tiny else 10.0
    title = f"{words}: dense weights over packed"
    bench.add(
        Figure(f"{title}, body and head", body, "×", basis="modelled", at_least=least),
        Figure(
            f"{title}, with the embedding in int8", whole, "×", basis="modelled", at_least=least
        ),
    )
    for name, found in ended.items():
        resident = found["memory"] / 2**20
        bench.add(Figure(f"{words}: {name}, memory while decoding, above imports", resident, "MiB"))
    bench.add(Figure(f"{words}: packed, first step compiled", loaded[OURS]["compiled"], "s"))


def agree(bench: Benchmark, words: str, ended: dict[str, Any]) -> None:
    """How far the logits of all sides are apart after the same tokens.

    A value that lies within float32's error of a half is rounded up by one side and down by
    another, which moves it by 1/127 of its row's largest and with it what is rounded in the layers
    after it. Where one does, as with torch's norms, the two are apart by as much as int8 loses.
    """
    import numpy as np

    logits = {name: np.array(found.pop("logits")) for name, found in ended.items()}
    mine = logits.pop(OURS)
    for name, theirs in logits.items():
        apart = float(np.linalg.norm(theirs - mine) / np.linalg.norm(mine))
        title = f"{words}: logits of packed and {name}, norm of the difference over theirs"
        bench.add(Figure(title, apart, "", at_most=LARGEST_DIFFERENCE))
        if not apart < LARGEST_DIFFERENCE:
            raise AssertionError(f"{name}: logits are {apart} of their norm apart")


def decoding(
    step: Any, states: Any, tokens: int, vocab: int, about: dict[str, Any], memory: Memory
) -> Iterator[Any]:
    """The turns of a side: `step(token, states)` gives the next token's logits and the states.

    Every side is given the same tokens, not its own choices: near ties would part their texts.
    """
    import numpy as np

    from workbench.measure import fresh_process

    given = np.random.default_rng(0)
    logits, states = step(0, states)
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # Loading is not decoding: what it freed goes back to the system first, where that is glibc.
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    fresh_process.forget_peak()
    word = yield about
    while word != "finish":
        text = [int(token) for token in given.integers(0, vocab, tokens)]
        clock = Clock()
        for token in text:
            logits, states = step(token, states)
        word = yield clock.both()
    yield {"logits": np.asarray(logits).reshape(-1).tolist(), "memory": memory.peak()}


def packed_side(layers: int, width: int, inner: int, vocab: int, tokens: int) -> Iterator[Any]:
    """Two bits a weight, the layers in a scan."""
    from workbench.language.packed_scan import ScannedDecoder

    memory = Memory()
    model = ScannedDecoder(packed_model(layers, width, inner, vocab))
    yield from jax_side(model, tokens, vocab, memory)


def dense_side(layers: int, width: int, inner: int, vocab: int, tokens: int) -> Iterator[Any]:
    """The same weights as float32, unrolled: a scan would copy each layer's before its product."""
    import workbench.language.decoder  # noqa: F401  (the level of imports holds jax)

    memory = Memory()
    yield from jax_side(dense_model(layers, width, inner, vocab, "float32"), tokens, vocab, memory)


def bytes_side(layers: int, width: int, inner: int, vocab: int, tokens: int) -> Iterator[Any]:
    """The same weights at a byte each."""
    import workbench.language.decoder  # noqa: F401

    memory = Memory()
    yield from jax_side(dense_model(layers, width, inner, vocab, "int8"), tokens, vocab, memory)


def jax_side(model: Any, tokens: int, vocab: int, memory: Memory) -> Iterator[Any]:
    """A model of either kind, its step compiled with the greedy choice."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from workbench.language.packed import weight_bytes

    graph, state = nnx.split(model)

    def step(state: Any, token: Any, states: Any) -> Any:
        logits, states = nnx.merge(graph, state).step(token, states)
        return jnp.argmax(logits, -1), logits, states

    states = model.initial_state(1, 1)
    begun = time.perf_counter()
    run = jax.jit(step, donate_argnums=2)
    compiled = run.lower(state, jnp.zeros(1, jnp.int32), states).compile()
    about = {"bytes": weight_bytes(model), "compiled": time.perf_counter() - begun}

    def one(token: int, states: Any) -> Any:
        found, logits, states = compiled(state, np.asarray([token], np.int32), states)
        int(found[0])  # as a text that is streamed waits for each token
        return logits, states

    yield from decoding(one, states, tokens, vocab, about, memory)


def torch_side(layers: int, width: int, inner: int, vocab: int, tokens: int) -> Iterator[Any]:
    """The same in torch: rows of the matrices lie one after another, as its products want them."""
    import torch

    from workbench.measure.device import threads_available

    torch.set_num_threads(threads_available())
    memory = Memory()
    matrices, sizes = {}, {}
    for name, shape in matrix_shapes(layers, width, inner, vocab).items():
        signs, size = rounded(latent(name, shape))
        matrices[name], sizes[name] = torch.from_numpy(signs.T).contiguous(), float(size)
    table = torch.from_numpy(int8_table(vocab, width))
    linear, silu = torch.nn.functional.linear, torch.nn.functional.silu

    def normed(x: Any) -> Any:
        return x * torch.rsqrt(x.square().mean() + 1e-6)

    def product(name: str, x: Any) -> Any:
        y = normed(x)
        top = y.abs().max().clamp_min(1e-5)
        return linear(torch.round(y * (127 / top)), matrices[name]) * (top / 127) * sizes[name]

    def one(token: int, states: Any) -> Any:
        with torch.inference_mode():
            x, after = table[token], []
            for layer in range(layers):
                y, name = normed(x), f"model.layers.{layer}"
                f = torch.sigmoid(product(f"{name}.attn.f_proj", y))
                f = layer / layers + (1 - layer / layers) * f
                add = (1 - f) * silu(product(f"{name}.attn.i_proj", y))
                h = f * states[layer] + add
                after.append(h)
                gate = normed(product(f"{name}.attn.g_proj", y))
                x = x + product(f"{name}.attn.o_proj", gate * silu(h))
                gate, up = product(f"{name}.mlp.gate_proj", normed(x)).chunk(2)
                x = x + product(f"{name}.mlp.down_proj", silu(gate) * up)
            logits = product("lm_head", normed(x))
            int(logits.argmax())
        return logits, after

    about = {
        "bytes": {
            "embedding": table.nbytes,
            "body and head": sum(matrix.nbytes for matrix in matrices.values()),
        }
    }
    yield from decoding(one, [torch.zeros(width)] * layers, tokens, vocab, about, memory)


if __name__ == "__main__":
    sys.exit(main())
