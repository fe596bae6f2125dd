"""Decoding a MatMul-free LM of 370M from packed weights on this CPU, beside its dense forms.

One model with random weights, three ways: two bits a weight, its layers in a scan; the same weights
as float32 in JAX, layers unrolled; and in torch. Each side is in a process of its own and decodes
at batch 1, a few tokens a turn; their logits are compared. The floor is the time that reading the
packed bytes takes.

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
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

from record import THREADS, Benchmark, Figure, elsewhere
from sides import Clock, Memory, worker
from ternary_matmul_cpu import STREAMED, bandwidth, spread

NO_TORCH = "skipped: torch's side, for torch is not here (make test-parity)"
SCRIPT = "ternary_decode"
FULL, TINY = (24, 1024, 2816, 32000), (2, 128, 256, 512)
"""Layers, width, inner width and tokens of the vocabulary."""
OURS, DENSE, TORCH = "packed", "float32, JAX", "float32, torch"
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
    sides: dict[str, Any] = {OURS: packed_side, DENSE: dense_side}
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
    peer = min((n for n in seconds if n != OURS), key=lambda n: float(np.median(seconds[n])))
    wanted = None if bench.tiny else 5.0
    ratio = seconds[peer] / seconds[OURS]
    bench.add(spread(f"{words}: time of {peer} over packed", ratio, "×", at_least=wanted))
    held, dense = loaded[OURS]["bytes"], loaded[DENSE]["bytes"]
    floor = held["body and head"] / speed
    bench.add(
        Figure(f"{words}: floor, reading the packed bytes", 1e3 * floor, "ms"),
        spread(f"{words}: packed time over its floor", seconds[OURS] / floor, "×"),
    )
    for name in (OURS, DENSE):
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

    mine = np.array(ended[OURS]["logits"])
    for name, found in ended.items():
        if name == OURS:
            continue
        apart = float(np.linalg.norm(found["logits"] - mine) / np.linalg.norm(mine))
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
    yield from jax_side(dense_model(layers, width, inner, vocab), tokens, vocab, memory)


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


def matrix_shapes(layers: int, width: int, inner: int, vocab: int) -> dict[str, tuple[int, int]]:
    """[in, out] of every ternary matrix, by its place in the model."""
    found = {"lm_head": (width, vocab)}
    for layer in range(layers):
        name = f"model.layers.{layer}"
        found |= {f"{name}.attn.{letter}_proj": (width, width) for letter in "ifgo"}
        found[f"{name}.mlp.gate_proj"] = (width, 2 * inner)
        found[f"{name}.mlp.down_proj"] = (inner, width)
    return found


def latent(name: str, shape: tuple[int, int]) -> Any:
    """Random weights of a matrix, the same for all sides."""
    import numpy as np

    draw = np.random.default_rng(zlib.crc32(name.encode()))
    return draw.standard_normal(shape, dtype=np.float32)


def rounded(weight: Any) -> tuple[Any, Any]:
    """-1, 0, 1 as float32, and what they stand for."""
    import jax.numpy as jnp
    import numpy as np

    from workbench.language.bit_linear import ternary

    signs, size = ternary(jnp.asarray(weight))
    return np.asarray(signs, np.float32), np.asarray(size)


def int8_table(vocab: int, width: int) -> Any:
    """The embedding as it is after it was held in int8, in float32."""
    import numpy as np

    from workbench.language.packed import int8_rows

    values, scale = int8_rows(latent("model.embeddings", (vocab, width)))
    return np.asarray(values, np.float32) * np.asarray(scale)[:, None]


def configuration(layers: int, width: int, inner: int, vocab: int) -> Any:
    """MatMul-free LM as released."""
    from workbench.language.config import DecoderConfig
    from workbench.language.mixers.mlgru import MLGRUConfig

    return DecoderConfig(
        vocab_size=vocab,
        hidden_size=width,
        num_hidden_layers=layers,
        mixers=(MLGRUConfig(),),
        intermediate_size=inner,
        linears="ternary",
        tie_word_embeddings=False,
    )


def packed_model(layers: int, width: int, inner: int, vocab: int) -> Any:
    """The model at two bits a weight; one latent matrix at a time is in memory."""
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.packed import (
        Codes,
        Int8Embedding,
        Packed,
        PackedBitLinear,
        abstract_packed,
        int8_rows,
        packed_matrix,
    )

    model = abstract_packed(configuration(layers, width, inner, vocab), table="int8")
    for path, node in list(nnx.iter_graph(model)):
        if isinstance(node, PackedBitLinear):
            name = ".".join(map(str, path))
            packed, size = packed_matrix(jnp.asarray(latent(name, node.shape)))
            node.codes, node.size = Codes(packed.codes), Packed(size)
    model.model.embeddings = Int8Embedding(*int8_rows(latent("model.embeddings", (vocab, width))))
    return filled(model)


def dense_model(layers: int, width: int, inner: int, vocab: int) -> Any:
    """The model with the rounded matrices in float32."""
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.decoder import Decoder
    from workbench.language.packed import bit_linears, put
    from workbench.model_files.abstract import abstract

    model = abstract(Decoder, configuration(layers, width, inner, vocab), dtype=jnp.float32)
    for path, node in list(bit_linears(model)):
        name = ".".join(map(str, path))
        put(model, path, dense_linear(*rounded(latent(name, node.kernel.shape)), node.norm))
    model.model.embeddings.embedding = nnx.Param(jnp.asarray(int8_table(vocab, width)))
    return filled(model)


def dense_linear(signs: Any, size: Any, norm: Any) -> Any:
    """A ternary layer with its rounded matrix in float32."""
    import jax.numpy as jnp
    from flax import nnx

    class Dense(nnx.Module):
        def __init__(self) -> None:
            self.kernel, self.size = nnx.Param(jnp.asarray(signs)), nnx.Param(jnp.asarray(size))
            self.norm = norm

        def __call__(self, x: Any) -> Any:
            y = self.norm(x)
            top = jnp.maximum(jnp.max(jnp.abs(y), axis=-1, keepdims=True), 1e-5)
            codes = jnp.round(y * (127 / top))
            return codes @ self.kernel[...] * (top / 127) * self.size[...]

    return Dense()


def filled(model: Any) -> Any:
    """The model with gains of one and bounds as they are first, where it has shapes only."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    graph, state = nnx.split(model)
    leaves, tree = jax.tree_util.tree_flatten_with_path(state)

    def value(path: Any, leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        make = jnp.zeros if "lower_bounds" in str(path) else jnp.ones
        return make(leaf.shape, leaf.dtype)

    found = [value(path, leaf) for path, leaf in leaves]
    return nnx.merge(graph, jax.tree_util.tree_unflatten(tree, found))


if __name__ == "__main__":
    sys.exit(main())
