"""The gated recurrence on CPU against every other way to write it, from short to long.

h_t = f_t h_{t-1} + x_t as a scan, a scan unrolled, a loop in place, a parallel scan, two passes
over chunks (few and many), and torch's loop over steps. All are tried; the fastest few run again by
turns with the op, which must be within 10 % of the fastest at every length. Beside them `f + x`,
which reads and writes the same arrays: how time grows with length is held against how its does.

python benchmarks/gated_recurrence_cpu.py [--tiny] [--repeats N]

Needs torch beside jax for torch's loop: `make test-parity` makes `.venv-parity`, which runs this
where this Python has no torch.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from rates import Watch
from record import Benchmark, Figure, elsewhere

NO_TORCH = "skipped: torch's loop, for torch is not here (make test-parity)"
WIDTHS = (1024, 16)
LENGTHS = (256, 1024, 4096, 16384, 65536)
TINY_LENGTHS = (64, 256)
WITHIN = 1.1
FINALISTS = 3
"""Forms that are timed again beside the op; the rest were slower in the trial rounds."""

LARGEST_ERROR = 1e-5
SAMPLE = 0.02
"""Seconds of one sample: short calls are repeated within it."""

Thunks = dict[str, Callable[[], Any]]


def main() -> int:
    """Each width and length: a trial of all forms, then the op among the fastest; slopes."""
    if (status := elsewhere(__file__)) is not None:
        return status
    bench, options = Benchmark.from_command(
        __file__, "Gated recurrence on CPU", more=[("--repeats", {"type": int})]
    )
    if find_spec("torch") is None:
        print(NO_TORCH)
    repeats = options.repeats or (3 if bench.tiny else 15)
    lengths = TINY_LENGTHS if bench.tiny else LENGTHS
    watch = Watch(bench)
    for width in WIDTHS:
        times: dict[str, list[float]] = {"op": [], "f + x": []}
        for length in lengths:
            watch()
            timed = compare(bench, length, width, repeats)
            for name in times:
                times[name].append(timed[name])
        growth(bench, width, lengths, times)
    return watch.finish()


def compare(bench: Benchmark, length: int, width: int, repeats: int) -> dict[str, float]:
    """Times one shape; the medians of the op, forward, and of the floor."""
    from workbench.measure.timing import interleaved

    f, x = inputs(length, width)
    thunks = {"op": op(f, x), **others(f, x)}
    check(thunks)
    sample = 0.0 if bench.tiny else SAMPLE
    trial = interleaved(thunks, repeats=2, min_time=sample)
    fastest = sorted(set(thunks) - {"op"}, key=lambda name: trial[name].low)[:FINALISTS]
    final = {name: thunks[name] for name in ("op", *fastest)} | {"f + x": floor(f, x)}
    timed = interleaved(final, repeats=repeats, min_time=sample)
    where = f"T{length} D{width}"
    bench.add_timings({f"{where} trial: {name}": one for name, one in trial.items()})
    bench.add_timings({f"{where}: {name}": one for name, one in timed.items()})
    best = min(fastest, key=lambda name: timed[name].median)
    rounds = [a / b for a, b in zip(timed["op"].samples, timed[best].samples, strict=True)]
    bench.add(
        Figure(
            f"{where}: time of the op over the fastest other form's ({best})",
            statistics.median(rounds),
            "",
            low=min(rounds),
            high=max(rounds),
            at_most=WITHIN,
        ),
        Figure(
            f"{where}: the op",
            1e9 * timed["op"].median / (length * width),
            "ns/element",
            low=1e9 * timed["op"].low / (length * width),
            high=1e9 * timed["op"].high / (length * width),
        ),
    )
    backward(bench, f, x, where, repeats)
    return {name: timed[name].median for name in ("op", "f + x")}


def backward(bench: Benchmark, f: np.ndarray, x: np.ndarray, where: str, repeats: int) -> None:
    """Forward and backward beside a scan that jax differentiates."""
    from workbench.measure.timing import interleaved

    thunks = {"op": op(f, x, gradient=True), "scan": differentiated_scan(f, x)}
    timed = interleaved(thunks, repeats=repeats, min_time=0.0 if bench.tiny else SAMPLE)
    bench.add_timings({f"{where} with gradient: {name}": one for name, one in timed.items()})
    pairs = zip(timed["op"].samples, timed["scan"].samples, strict=True)
    rounds = [ours / scan for ours, scan in pairs]
    ratio = statistics.median(rounds)
    name = f"{where}: forward and backward over a differentiated scan's"
    bench.add(Figure(name, ratio, "", low=min(rounds), high=max(rounds), at_most=WITHIN))


def growth(
    bench: Benchmark, width: int, lengths: Sequence[int], times: dict[str, list[float]]
) -> None:
    """Slope of log time over log length: 1 is O(T) while memory is equally fast at every size.

    Where arrays outgrow the caches, that of `f + x` is above 1 too.
    """
    slopes = {name: slope(lengths, seconds) for name, seconds in times.items()}
    bench.raw[f"slopes D{width}"] = slopes
    name = f"D{width}: log-log slope of time over length (f + x: {slopes['f + x']:.2f})"
    bench.add(Figure(name, slopes["op"], "", at_most=0.1 + max(1.0, slopes["f + x"])))


def slope(lengths: Sequence[int], seconds: Sequence[float]) -> float:
    """Least squares through (log length, log seconds)."""
    return float(np.polyfit([math.log(one) for one in lengths], np.log(seconds), 1)[0])


def inputs(length: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Gates around those of a trained layer, and values, [1, T, D]."""
    numbers = np.random.default_rng(0)
    gates = 1 / (1 + np.exp(-numbers.normal(2, 1, (1, length, width))))
    return gates.astype(np.float32), numbers.standard_normal((1, length, width), np.float32)


def op(f: np.ndarray, x: np.ndarray, gradient: bool = False) -> Callable[[], Any]:
    """The library's op as it is called."""
    from kernels_pallas import gated_recurrence

    return compiled(gated_recurrence, f, x, gradient)


def compiled(
    run: Callable[..., Any], f: np.ndarray, x: np.ndarray, gradient: bool = False
) -> Callable[[], Any]:
    """A thunk of a jitted function, or of it and the gradients of its sum of squares."""
    import jax
    import jax.numpy as jnp

    def both(f: Any, x: Any) -> Any:
        states, pull = jax.vjp(run, f, x)
        return states, pull(states)

    jitted = jax.jit(both if gradient else run)
    given = jnp.asarray(f), jnp.asarray(x)
    return lambda: jitted(*given)


def floor(f: np.ndarray, x: np.ndarray) -> Callable[[], Any]:
    """Reads and writes the same arrays."""
    return compiled(lambda f, x: f + x, f, x)


def differentiated_scan(f: np.ndarray, x: np.ndarray) -> Callable[[], Any]:
    """The scan with jax's own gradient."""
    return compiled(scan(1), f, x, gradient=True)


def others(f: np.ndarray, x: np.ndarray) -> Thunks:
    """Every other form that the length admits."""
    length = x.shape[1]
    forms = {"scan": scan(1), "scan, unrolled 8": scan(8), "loop in place": in_place()}
    forms["parallel scan"] = parallel()
    for chunks in (8, 64):
        forms[f"two passes, {chunks} chunks"] = two_passes(chunks)
    forms[f"two passes, chunks of {min(64, length)}"] = two_passes(length // min(64, length))
    thunks = {name: compiled(form, f, x) for name, form in forms.items()}
    if find_spec("torch") is not None:
        thunks["torch's loop"] = torch_loop(f, x)
    return thunks


def scan(unroll: int) -> Callable[..., Any]:
    """`lax.scan` over time."""
    from jax import lax
    from jax import numpy as jnp

    def run(f: Any, x: Any) -> Any:
        def step(h: Any, inputs: Any) -> Any:
            h = inputs[0] * h + inputs[1]
            return h, h

        along = jnp.moveaxis(f, 1, 0), jnp.moveaxis(x, 1, 0)
        states = lax.scan(step, jnp.zeros_like(x[:, 0]), along, unroll=unroll)[1]
        return jnp.moveaxis(states, 0, 1)

    return run


def in_place() -> Callable[..., Any]:
    """A loop that writes each state into an array of zeros."""
    from jax import lax
    from jax import numpy as jnp

    def run(f: Any, x: Any) -> Any:
        def step(t: Any, carry: Any) -> Any:
            h, out = carry
            h = lax.dynamic_index_in_dim(f, t, 1, False) * h
            h = h + lax.dynamic_index_in_dim(x, t, 1, False)
            return h, lax.dynamic_update_index_in_dim(out, h, t, 1)

        return lax.fori_loop(0, x.shape[1], step, (jnp.zeros_like(x[:, 0]), jnp.zeros_like(x)))[1]

    return run


def parallel() -> Callable[..., Any]:
    """`lax.associative_scan` over pairs."""
    from jax import lax

    def run(f: Any, x: Any) -> Any:
        def join(first: Any, second: Any) -> Any:
            return first[0] * second[0], second[0] * first[1] + second[1]

        return lax.associative_scan(join, (f, x), axis=1)[1]

    return run


def two_passes(chunks: int) -> Callable[..., Any]:
    """All chunks step by step at once from zero, their ends in turn, then all again."""
    from jax import lax
    from jax import numpy as jnp

    def run(f: Any, x: Any) -> Any:
        batch, length, width = x.shape
        cut = (batch, chunks, length // chunks, width)
        along = tuple(jnp.moveaxis(one.reshape(cut), 2, 0) for one in (f, x))
        zeros = jnp.zeros((batch, chunks, width), x.dtype)

        def ends(carry: Any, inputs: Any) -> Any:
            product, h = carry
            return (inputs[0] * product, inputs[0] * h + inputs[1]), None

        def over(h: Any, piece: Any) -> Any:
            return piece[0] * h + piece[1], h

        def states(h: Any, inputs: Any) -> Any:
            h = inputs[0] * h + inputs[1]
            return h, h

        (product, added), _ = lax.scan(ends, (zeros + 1, zeros), along)
        pieces = jnp.moveaxis(product, 1, 0), jnp.moveaxis(added, 1, 0)
        starts = lax.scan(over, zeros[:, 0], pieces)[1]
        found = lax.scan(states, jnp.moveaxis(starts, 0, 1), along)[1]
        return jnp.moveaxis(found, 0, 2).reshape(x.shape)

    return run


def torch_loop(f: np.ndarray, x: np.ndarray) -> Callable[[], Any]:
    """A loop over steps, each written into the output, with no graph kept."""
    import torch

    from workbench.measure.device import threads_available

    torch.set_num_threads(threads_available())
    gates, values = (torch.from_numpy(one) for one in (f, x))
    steps = list(zip(gates.unbind(1), values.unbind(1), strict=True))

    def run() -> Any:
        with torch.inference_mode():
            out = torch.empty_like(values)
            h = torch.zeros_like(values[:, 0])
            for (gate, value), place in zip(steps, out.unbind(1), strict=True):
                h = torch.addcmul(value, gate, h, out=place)
            return out

    return run


def check(thunks: Thunks) -> None:
    """All forms give the same states."""
    found = {name: np.asarray(thunk()) for name, thunk in thunks.items()}
    scale = np.max(np.abs(found["scan"]))
    for name, states in found.items():
        error = np.max(np.abs(states - found["scan"])) / scale
        if not error <= LARGEST_ERROR:
            raise SystemExit(f"{name} differs from the scan by {error:.1e} of the largest state")


if __name__ == "__main__":
    sys.exit(main())
