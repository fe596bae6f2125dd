"""Each kernel on an NVIDIA GPU beside its roofline, XLA's form and the best public kernels.

Rates of the roofline, a bfloat16 product, int8 product and copy, are measured in the same run.
Peers: flash-linear-attention's Triton kernels where `fla` and torch are here, cuDNN's attention,
and a bfloat16 product for ternary weights.

python benchmarks/kernels_gpu.py [--tiny] [--repeats N] [--only NAME ...]

Without a GPU it says so and writes nothing; `--tiny` runs its short form on any device.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Torch allocates on the same device; read when jax starts it.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from device_time import (
    AT_ONCE,
    apart,
    chained,
    gradients,
    on_host,
    queued,
    rotated,
    rounds_for,
    torch_gradients,
)
from record import Benchmark, Figure

if TYPE_CHECKING:
    from kernels_pallas.costs import Cost
    from workbench.measure.roofline import Peaks

NO_GPU = "jax finds no NVIDIA GPU here: nothing is measured"
NAMES = ("attention", "gated_linear_attention", "gated_recurrence", "ternary")
QUARTILES = (0.25, 0.5, 0.75)
LARGEST_ERROR = 3e-2
"""Between forms, relative to the largest value, in bfloat16."""


@dataclass(frozen=True)
class Task:
    """One thing to compute, and the ways to do it.

    Args:
        name: the op and the shape's short name.
        words: for the table.
        forms: functions of jax arrays by name; the first is the op as it chooses.
        arrays: makes the arrays of one call from a seed.
        cost: of one call.
        dtype: whose product bounds the arithmetic.
        peers: functions of torch tensors that share the arrays' memory.
        at_most: targets for the ratio of our time to a form's or a peer's.
        share: target for the share of the roofline.
        shared: the leading arrays that all calls share; the others are rotated past the cache.
        streamed: bytes of those that the leanest form reads; of all of them when None.
    """

    name: str
    words: str
    forms: dict[str, Callable[..., Any]]
    arrays: Callable[[int], list[Any]]
    cost: Cost
    dtype: str = "bfloat16"
    peers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    at_most: dict[str, float] = field(default_factory=dict)
    share: float | None = None
    shared: int = 0
    streamed: int | None = None


def main() -> int:
    """Peaks, then every task; 1 where one of them failed."""
    more = [
        ("--repeats", {"type": int, "default": 15}),
        ("--only", {"nargs": "+", "choices": NAMES, "default": NAMES}),
    ]
    bench, options = Benchmark.from_command(__file__, "Kernels on an NVIDIA GPU", more=more)
    import jax

    if jax.default_backend() != "gpu" and not bench.tiny:
        print(NO_GPU)
        return 0
    peaks = measured_peaks(bench.tiny)
    bench.raw["peaks"] = {"flops_per_s": dict(peaks.flops_per_s), "bytes_per_s": peaks.bytes_per_s}
    for dtype, rate in peaks.flops_per_s.items():
        bench.add(Figure(f"product of {dtype}", rate / 1e12, "Tflop/s"))
    bench.add(Figure("copy, read and written", peaks.bytes_per_s / 1e9, "GB/s"))
    failed = 0
    for name in options.only:
        for task in itertools.islice(TASKS[name](bench.tiny), 3 if bench.tiny else None):
            try:
                measure(bench, task, peaks, 2 if bench.tiny else options.repeats)
            except Exception as error:  # one that a device does not run leaves the others
                if bench.tiny:
                    raise
                failed = 1
                bench.raw[task.name] = {"failed": f"{type(error).__name__}: {error}"[:2000]}
                print(f"{task.name}: {type(error).__name__}: {error}"[:2000], file=sys.stderr)
            bench.write()
    bench.finish()
    return failed


def measured_peaks(tiny: bool) -> Peaks:
    """Products in bfloat16 and int8 and a copy, measured now."""
    import jax
    import jax.numpy as jnp

    from workbench.measure import roofline
    from workbench.measure.timing import interleaved

    size, copied = (256, 1 << 20) if tiny else (8192, 1 << 30)
    with tempfile.TemporaryDirectory() as folder:
        found = roofline.measured(
            "bfloat16", gemm_size=size, copy_bytes=copied, store=Path(folder) / "peaks.json"
        )
    square = jax.random.randint(jax.random.key(0), (size, size), -127, 128, jnp.int8)
    product = jax.jit(functools.partial(jnp.matmul, preferred_element_type=jnp.int32))
    low = interleaved({"product": lambda: product(square, square)}, repeats=5)["product"].low
    return found.replace(flops_per_s={**found.flops_per_s, "int8": 2 * size**3 / low})


def measure(bench: Benchmark, task: Task, peaks: Peaks, repeats: int) -> None:
    """Times a task's forms and peers by turns, and holds them against the roofline."""
    import numpy as np

    from kernels_pallas import dispatch
    from workbench.measure import cost, roofline
    from workbench.measure.timing import interleaved

    work = cost.Cost(macs=task.cost.macs, bytes_moved=task.cost.bytes_moved)
    bound = roofline.roofline(work, peaks, task.dtype)
    sets = rotated(task.arrays, task.shared, task.streamed)[: 2 if bench.tiny else None]
    rounds = 1 if bench.tiny else rounds_for(bound.seconds, len(sets))
    chosen = dispatch.chosen(task.forms["ours"], *sets[0])
    about: dict[str, Any] = {
        "sets": len(sets), "rounds": rounds, "macs": task.cost.macs,
        "bytes": task.cost.bytes_moved, "bound": bound.bound, "floor": bound.seconds,
        "chosen": [f"{one.op}: {one.form}, {one.why}" for one in chosen], "errors": {},
    }  # fmt: skip
    bench.raw[task.name] = about
    thunks = {name: chained(form, sets, rounds) for name, form in task.forms.items()}
    here = task.peers if find_spec("torch") and find_spec("fla") else {}
    thunks |= {name: queued(peer, sets, rounds) for name, peer in here.items()}
    about["peers absent"] = sorted(set(task.peers) - set(here))
    for peer in about["peers absent"]:
        print(f"{task.name}: peer absent: {peer}, for torch or fla is not here")
    result = on_host(thunks["ours"]())
    for name, thunk in thunks.items():
        about["errors"][name] = apart(result, on_host(thunk()))
    timed = interleaved(thunks, repeats=repeats, min_time=0 if bench.tiny else 4 * AT_ONCE)
    bench.add_timings({f"{task.name}: {name}": timing for name, timing in timed.items()})
    calls = len(sets) * rounds
    each = {name: np.asarray(timing.samples) / calls for name, timing in timed.items()}
    about["seconds of one call"] = {name: float(np.median(all_)) for name, all_ in each.items()}
    low, middle, high = (1e6 * float(q) for q in np.quantile(each["ours"], QUARTILES))
    bench.add(Figure(task.words, middle, "µs", low, high))
    share = bound.seconds / (1e-6 * middle)
    bench.add(Figure(f"{task.words}: share of the roofline", share, "", at_least=task.share))
    for name in thunks:
        if name == "ours":
            continue
        low, middle, high = map(float, np.quantile(each["ours"] / each[name], QUARTILES))
        title = f"{task.words}: time over {name}'s"
        bench.add(Figure(title, middle, "×", low, high, at_most=task.at_most.get(name)))
        error = about["errors"][name]
        if not error < LARGEST_ERROR:
            title = f"{task.words}: largest difference from {name}'s"
            bench.add(Figure(title, error, "", at_most=LARGEST_ERROR))


def normal(seed: int, *shapes: Sequence[int]) -> list[Any]:
    """Random bfloat16 arrays, made on the device."""
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return [
        jax.random.normal(key, tuple(shape), jnp.bfloat16)
        for key, shape in zip(keys, shapes, strict=True)
    ]


def attention_tasks(tiny: bool) -> Iterator[Task]:
    """Causal attention at the widths of 340M and 1.3B models, and of Stable Diffusion's UNet."""
    from kernels_pallas import attention
    from kernels_pallas.attention.cost import cost

    shapes = {
        "340M": ((8, 2048, 16, 64), True),
        "1.3B": ((4, 2048, 32, 64), True),
        "UNet": ((2, 4096, 8, 40), False),
    }
    for model, (shape, causal) in shapes.items():
        shape = (1, 32, 2, 8) if tiny else shape
        ours = functools.partial(attention, causal=causal)
        forms = beside_xla(ours)
        words = f"attention, {model}, {'×'.join(map(str, shape))}"
        one = cost(shape, shape, shape, itemsize=2, causal=causal)
        make = functools.partial(lambda seed, shape: normal(seed, *[shape] * 4), shape=shape)
        yield Task(f"attention {model}", words, forms, lambda seed, make=make: make(seed)[:3], one)
        back = cost(shape, shape, shape, itemsize=2, causal=causal, backward=True)
        both = {name: gradients(function, 3) for name, function in forms.items()}
        words, cost_of_both = f"{words}, with gradients", add(one, back)
        yield Task(f"attention {model} gradients", words, both, make, cost_of_both)


def gla_tasks(tiny: bool) -> Iterator[Task]:
    """Gated linear attention beside fla's, and beside softmax attention of the same width."""
    import jax
    import jax.numpy as jnp

    from kernels_pallas import attention, gated_linear_attention
    from kernels_pallas.gated_linear_attention import cost

    def ours(*arrays: Any, implementation: str = "auto") -> Any:
        return gated_linear_attention(*arrays, implementation=implementation)[0]

    def softmax(q: Any, k: Any, v: Any, log_decay: Any) -> Any:
        batch, time, _, _ = q.shape
        as_heads = [a.reshape(batch, time, -1, 64) for a in (v, v, v)]  # as wide as the values
        return attention(*as_heads, causal=True).reshape(v.shape)

    def theirs(*tensors: Any) -> Any:
        from fla.ops.gla import chunk_gla

        return chunk_gla(*tensors)[0]

    sizes = {"340M": (8, 2048, 4, 128, 256), "1.3B": (4, 2048, 4, 256, 512)}
    sizes |= {"340M, long": (2, 8192, 4, 128, 256)}
    for model, size in sizes.items():
        b, t, h, key, value = (1, 64, 2, 16, 64) if tiny else size

        def make(seed: int, shape: Any = (b, t, h, key, value)) -> list[Any]:
            *outer, key, value = shape
            widths = (key, key, value, key, value)
            q, k, v, gates, d_out = normal(seed, *[(*outer, width) for width in widths])
            return [q, k, v, jax.nn.log_sigmoid(gates.astype(jnp.float32)) / 16, d_out]

        words = f"gated linear attention, {model}, {b}×{t}×{h}, {key} and {value} wide"
        arguments = ((b, t, h, key), value)
        one = cost.forward(*arguments, chunk=64, size=2)
        back = cost.backward(*arguments, chunk=64, size=2)
        forms = beside_xla(ours)
        peers = {"fla": theirs}
        yield Task(
            f"gla {model}", words, forms, lambda seed, make=make: make(seed)[:4], one,
            peers=peers, at_most={"fla": 1.0}, share=0.6,
        )  # fmt: skip
        yield Task(
            f"gla {model} gradients", f"{words}, with gradients",
            {name: gradients(function, 4) for name, function in forms.items()}, make,
            add(one, back), peers={"fla": torch_gradients(theirs, 4)}, at_most={"fla": 1.0},
            share=0.6,
        )  # fmt: skip
        yield Task(
            f"gla {model} softmax", f"softmax attention as wide, {model}", {"ours": softmax},
            lambda seed, make=make: make(seed)[:4],
            attention_cost((b, t, h * value // 64, 64)),
        )  # fmt: skip


def recurrence_tasks(tiny: bool) -> Iterator[Task]:
    """The recurrence of MatMul-free LM at two widths, beside fla's HGRN."""
    import jax
    import jax.numpy as jnp

    from kernels_pallas import gated_recurrence
    from kernels_pallas.gated_recurrence import cost

    def ours(_: Any, decay: Any, x: Any, implementation: str = "auto") -> Any:
        return gated_recurrence(decay, x, implementation=implementation)

    def ours_both(_: Any, decay: Any, x: Any, d_out: Any, implementation: str = "auto") -> Any:
        run = functools.partial(gated_recurrence, implementation=implementation)
        return gradients(run, 2)(decay, x, d_out)

    def theirs(log_decay: Any, _: Any, x: Any) -> Any:
        from fla.ops.hgrn import fused_recurrent_hgrn

        return fused_recurrent_hgrn(x, log_decay)[0]

    def theirs_both(log_decay: Any, decay: Any, x: Any, d_out: Any) -> Any:
        def run(log_decay: Any, x: Any) -> Any:
            return theirs(log_decay, decay, x)

        # Their gradient is that of the logarithm: the result alone can be compared.
        return torch_gradients(run, 2)(log_decay, x, d_out)[:1]

    for model, width in {"370M": 1024, "1.3B": 2048}.items():
        shape = (1, 64, 128) if tiny else (8, 2048, width)

        def make(seed: int, shape: Any = shape) -> list[Any]:
            gates, x, d_out = normal(seed, *[shape] * 3)
            log_decay = jax.nn.log_sigmoid(gates.astype(jnp.float32))
            return [log_decay, jnp.exp(log_decay), x, d_out]

        words = f"gated recurrence, {model}, {'×'.join(map(str, shape))}"
        one, back = (part(shape, decay_size=4, size=2) for part in (cost.forward, cost.backward))
        yield Task(
            f"recurrence {model}", words, beside_xla(ours), lambda seed, make=make: make(seed)[:3],
            one, peers={"fla": theirs},
        )  # fmt: skip
        yield Task(
            f"recurrence {model} gradients", f"{words}, with gradients", beside_xla(ours_both),
            make, add(one, back), peers={"fla": theirs_both},
        )  # fmt: skip


def ternary_tasks(tiny: bool) -> Iterator[Task]:
    """Products with ternary weights beside bfloat16 ones, and the quantising norm."""
    import jax
    import jax.numpy as jnp

    from kernels_pallas import pack_ternary, rms_norm_quantize, ternary_matmul
    from kernels_pallas.ternary import cost

    rows, width = (32, 256) if tiny else (8192, 2048)
    gain = jnp.ones(width, jnp.bfloat16)

    def norm(x: Any, implementation: str = "auto") -> Any:
        return rms_norm_quantize(x, gain, implementation=implementation)

    yield Task(
        "norm", f"norm and quantise, {rows}×{width}",
        beside_xla(norm),
        lambda seed: normal(seed, (rows, width)), cost.rms_norm_quantize(rows, width),
    )  # fmt: skip

    for rows, edge in [(1, 2048), (1, 4096), (8, 4096), (2048, 4096)]:
        edge, rows = (256, min(rows, 16)) if tiny else (edge, rows)

        def make(seed: int, rows: int = rows, edge: int = edge) -> list[Any]:
            keys = jax.random.split(jax.random.key(seed), 2)
            x = jax.random.randint(keys[0], (rows, edge), -127, 128, jnp.int8)
            w = jax.random.randint(keys[1], (edge, edge), -1, 2, jnp.int8)
            scale = jnp.ones((rows, 1), jnp.float32)
            return [x, scale, pack_ternary(w), w.astype(jnp.bfloat16)]

        def ours(x: Any, scale: Any, packed: Any, w: Any, implementation: str = "auto") -> Any:
            return ternary_matmul(
                x, scale, packed, out_dtype=jnp.bfloat16, implementation=implementation
            )

        def dense(x: Any, scale: Any, packed: Any, w: Any) -> Any:
            return x.astype(jnp.bfloat16) @ w

        yield Task(
            f"ternary {rows}×{edge}", f"ternary product, {rows} rows, {edge}²",
            {**beside_xla(ours), "bfloat16": dense},
            make, cost.ternary_matmul(rows, edge, edge, itemsize=2), "int8",
            at_most={"bfloat16": 0.25} if rows == 1 else {},
            shared=2, streamed=edge * edge // 4,
        )  # fmt: skip


def beside_xla(ours: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """An op as it chooses, and in XLA's form."""
    return {"ours": ours, "XLA": functools.partial(ours, implementation="xla")}


def attention_cost(shape: Sequence[int]) -> Cost:
    """Of causal attention forward in bfloat16."""
    from kernels_pallas.attention.cost import cost

    return cost(shape, shape, shape, itemsize=2, causal=True)


def add(*costs: Cost) -> Cost:
    """The cost of one after the other."""
    from kernels_pallas.costs import Cost

    return Cost(*(sum(parts) for parts in zip(*costs, strict=True)))


TASKS = {
    "attention": attention_tasks,
    "gated_linear_attention": gla_tasks,
    "gated_recurrence": recurrence_tasks,
    "ternary": ternary_tasks,
}


if __name__ == "__main__":
    sys.exit(main())
