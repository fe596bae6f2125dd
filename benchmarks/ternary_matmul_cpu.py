"""Ternary products from packed weights on this CPU beside dense ones, by turns in one process.

As in decoding, every product reads another matrix: each side goes through copies of its weights
that no cache holds, in JAX in one program. The peer is a dense product in its fastest form here:
float32 or int8 in JAX or torch, or bfloat16 in torch. The floor is the time that reading the packed
bytes takes. Beside it, one row in a program of its own, as a call from Python is.

python benchmarks/ternary_matmul_cpu.py [--tiny] [--repeats N] [--only SHAPE] [--threads one]

Needs torch beside jax: `make test-parity` makes `.venv-parity`, which runs this where this Python
has no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from rates import Watch
from record import THREADS, Benchmark, Figure, elsewhere

NO_TORCH = "skipped: torch's forms, for torch is not here (make test-parity)"
SHAPES = ((1024, 1024), (2048, 2048), (4096, 4096), (2816, 1024))
BATCHES = (1, 8)
STREAMED = 192 << 20
"""Bytes of weights that each side goes through before it meets one again: several last caches."""
LEAST_RATIO = 5.0
ONE_FROM = 2048
"""The target is for one row, from this size on."""
Thunk = Callable[[], Any]


def main() -> int:
    """Every shape with one row and with eight."""
    if (status := elsewhere(__file__)) is not None:
        return status
    names = ["x".join(map(str, shape)) for shape in SHAPES]
    more = [
        ("--repeats", {"type": int, "default": 9}),
        ("--only", {"choices": names}),
        THREADS,
    ]
    title = "Ternary products on a CPU beside dense ones"
    bench, options = Benchmark.from_command(__file__, title, more=more)
    if find_spec("torch") is None:
        print(NO_TORCH)
    streamed = 1 << 20 if bench.tiny else STREAMED
    repeats = 2 if bench.tiny else options.repeats
    speed = bandwidth(bench, streamed, repeats)
    shapes = [s for s, name in zip(SHAPES, names, strict=True) if options.only in (None, name)]
    watch = Watch(bench)
    for k, n in [(256, 256)] if bench.tiny else shapes:
        for m in BATCHES:
            watch()
            compare(bench, m, k, n, speed, streamed, repeats)
    return watch.finish()


def bandwidth(bench: Benchmark, streamed: int, repeats: int) -> float:
    """Bytes a second that these threads read, by one product over more than the caches hold."""
    import jax
    import jax.numpy as jnp

    from workbench.measure.timing import interleaved

    row, array = jnp.ones((1, 1024)), jnp.ones((1024, streamed // 4096), jnp.float32)
    total = jax.jit(jnp.matmul).lower(row, array).compile()
    timing = interleaved({"read": lambda: total(row, array)}, repeats=max(3, repeats))["read"]
    bench.add_timings({"reading": timing})
    speed = array.nbytes / timing.low
    bench.add(Figure("memory read, by a product with one row of float32", speed / 1e9, "GB/s"))
    return speed


def compare(
    bench: Benchmark, m: int, k: int, n: int, speed: float, streamed: int, repeats: int
) -> None:
    """Times one shape by turns with the fastest dense form, and checks that ours is exact."""
    import numpy as np

    from workbench.measure.timing import interleaved

    numbers = np.random.default_rng(0)
    w = numbers.integers(-1, 2, (k, n)).astype(np.int8)
    x = numbers.integers(-127, 128, (m, k)).astype(np.int8)
    ternary, alone, count, packed = ours(x, w, streamed)
    peers = dense(x, w, streamed)
    counts = {"ternary": count} | {name: count for name, (_, count) in peers.items()}
    search = interleaved({name: thunk for name, (thunk, _) in peers.items()}, repeats=2)
    each = {name: timing.low / counts[name] for name, timing in search.items()}
    peer = min(each, key=lambda name: each[name])
    sides = {"ternary": ternary, peer: peers[peer][0]}
    if m == 1:
        sides["ternary, by calls"], counts["ternary, by calls"] = alone, count
    timed = interleaved(sides, repeats=repeats)
    name = f"{k} x {n}, {m} row{'s' if m > 1 else ''}"
    bench.add_timings({f"{name}: {side}, all copies": one for side, one in timed.items()})
    rounds = {s: np.array(timing.samples) / counts[s] for s, timing in timed.items()}
    mine, other = rounds["ternary"], rounds[peer]
    floor = packed / speed
    bench.raw[name] = {
        "copies": counts, "seconds by dense form": each, "fastest dense form": peer,
        "packed bytes": packed, "floor": floor, "ns a weight": 1e9 * float(np.median(mine)) / k / n,
    }  # fmt: skip
    bench.add(spread(f"ternary, {name}", 1e3 * mine, "ms"))
    if m == 1:
        called = 1e3 * rounds["ternary, by calls"]
        bench.add(spread(f"ternary, {name}, each a call of its own", called, "ms"))
    bench.add(spread(f"dense ({peer}), {name}", 1e3 * other, "ms"))
    wanted = LEAST_RATIO if m == 1 and min(k, n) >= ONE_FROM and not bench.tiny else None
    bench.add(spread(f"{name}: dense time over ternary", other / mine, "×", at_least=wanted))
    bench.add(spread(f"{name}: ternary time over its floor", mine / floor, "×"))


def spread(name: str, samples: Any, unit: str, **target: Any) -> Figure:
    """The median with the quartiles."""
    import numpy as np

    low, middle, high = (float(q) for q in np.quantile(samples, (0.25, 0.5, 0.75)))
    return Figure(name, middle, unit, low, high, **target)


def copies(nbytes: int, streamed: int) -> int:
    """How many matrices of this size go beyond the caches."""
    return max(2, -(-streamed // nbytes))


def ours(x: Any, w: Any, streamed: int) -> tuple[Thunk, Thunk, int, int]:
    """Products with every packed copy, in one program and each by a call, how many, and the bytes
    of one."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from kernels_pallas import PackedTernary, pack_ternary, ternary_matmul

    packed = pack_ternary(jnp.asarray(w))
    count = copies(packed.nbytes, streamed)
    codes = np.broadcast_to(np.asarray(packed.codes), (count, *packed.codes.shape))
    stack = PackedTernary(jnp.asarray(codes), *w.shape, packed.layout)
    every = np.stack([np.roll(x, at, axis=1) for at in range(count)])
    rows, scale = jnp.asarray(every), jnp.ones((x.shape[0], 1), jnp.float32)

    def products(rows: Any, stack: PackedTernary) -> Any:
        def one(_: None, given: Any) -> tuple[None, Any]:
            x, at = given
            return None, ternary_matmul(x, scale, stack, index=at)

        return jax.lax.scan(one, None, (rows, jnp.arange(count)))[1]

    program = jax.jit(products).lower(rows, stack).compile()
    exact = every.astype(np.int64) @ w.astype(np.int64)
    if not np.array_equal(program(rows, stack), exact):
        raise AssertionError(f"the products {x.shape} {w.shape} are not exact")
    each = [(rows[at], jax.tree.map(lambda codes, at=at: codes[at], stack)) for at in range(count)]
    call = jax.jit(ternary_matmul).lower(rows[0], scale, packed).compile()

    def by_calls() -> Any:
        return [call(x, scale, one) for x, one in each]

    return lambda: program(rows, stack), by_calls, count, packed.nbytes


def dense(x: Any, w: Any, streamed: int) -> dict[str, tuple[Thunk, int]]:
    """The same with dense weights, in every form, each over copies of its own."""
    import jax.numpy as jnp
    import numpy as np

    wide = w.astype(np.float32)
    count = copies(wide.nbytes, streamed)
    stack = [jnp.array(wide) for _ in range(count)]
    product = in_one_program(jnp.matmul, jnp.asarray(x, jnp.float32), stack)
    found = {"float32, JAX": (product, count)}
    found["int8, JAX"] = _int8_jax(x, w, streamed)
    if find_spec("torch") is None:
        return found
    import torch

    from workbench.measure.device import threads_available

    torch.set_num_threads(threads_available())
    linear = torch.nn.functional.linear
    for name, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        given = torch.from_numpy(wide.T.copy()).to(kind)
        found[f"{name}, torch"] = _torch(linear, torch.from_numpy(x).to(kind), given, streamed)
    given = torch.from_numpy(w.T.copy())
    found["int8, torch"] = _torch(_int8, torch.from_numpy(x), given, streamed)
    return found


def _int8_jax(x: Any, w: Any, streamed: int) -> tuple[Thunk, int]:
    """With one row of zeros more where there is one: two rows take a library."""
    import jax.numpy as jnp

    from kernels_pallas.ternary.xla import int8_matmul

    stack = [jnp.array(w) for _ in range(copies(w.nbytes, streamed))]
    return in_one_program(int8_matmul, jnp.asarray(x), stack), len(stack)


def in_one_program(product: Callable[..., Any], x: Any, stack: list[Any]) -> Thunk:
    """Products of the same rows with every matrix."""
    import jax

    def products(x: Any, stack: list[Any]) -> list[Any]:
        return [product(x, one) for one in stack]

    program = jax.jit(products).lower(x, stack).compile()
    return lambda: program(x, stack)


def _int8(x: Any, w: Any) -> Any:
    import torch

    return torch._int_mm(x, w.T)


def _torch(function: Callable[..., Any], x: Any, w: Any, streamed: int) -> tuple[Thunk, int]:
    import torch

    stack = [w.clone() for _ in range(copies(w.numel() * w.element_size(), streamed))]

    def run() -> None:
        with torch.inference_mode():
            for one in stack:
                function(x, one)

    return run, len(stack)


if __name__ == "__main__":
    sys.exit(main())
