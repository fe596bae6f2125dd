"""Gated linear attention on CPU beside torch: same inputs, threads and float type, by turns.

The peer is chunked gated linear attention written for torch in three forms (all chunks at once,
the same with sub-blocks, a loop over chunks), each with several chunk lengths, on all threads and
on one, plain and compiled, differentiated by autograd. The fastest counts, chosen for each
direction apart. Beside them flash-linear-attention's recurrence, step by step.

On several threads the op runs in two ways: as it is, and with its heads shared out by `shard_map`
over as many of jax's CPU devices as there are threads, one for each.

Memory that a call frees is kept for the next, on both sides. A sample is calls for 0.15 s: idle
threads of the other side spin on its cores for a while.

python benchmarks/gated_linear_attention_cpu.py [--tiny] [--repeats N] [--threads one]

A plain matrix product runs in the same rounds. Where it reaches less than 80 % of the rate that
this processor has shown (`rates.json`), other work has disturbed the run: it is not recorded.
Needs torch beside jax: `make test-parity` makes `.venv-parity`, which runs this where this Python
has no torch.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rates import Watch, product
from record import THREADS, Benchmark, Figure, elsewhere, keep_freed_memory

if TYPE_CHECKING:
    import jax

NO_TORCH = "skipped: torch's side, for torch is not here (make test-parity)"
LARGEST_ERROR = 1e-4
SHARED_OUT = "auto, heads shared out"
Thunks = dict[str, Callable[[], Any]]


class Case(NamedTuple):
    """One shape."""

    batch: int
    heads: int
    time: int
    key: int
    value: int

    @property
    def words(self) -> str:
        """The shape as a title has it."""
        return f"B{self.batch} H{self.heads} T{self.time} K{self.key} V{self.value}"


FULL = Case(1, 4, 2048, 64, 128)
TINY = Case(1, 2, 256, 16, 16)


def main() -> int:
    """Chooses the peer's forms, times both directions, compares what they give."""
    if (status := elsewhere(__file__)) is not None:
        return status
    bench, options = Benchmark.from_command(
        __file__, "Gated linear attention on CPU", more=[("--repeats", {"type": int}), THREADS]
    )
    keep_freed_memory()
    a_device_for_each_thread()
    case = TINY if bench.tiny else FULL
    repeats = options.repeats or (2 if bench.tiny else 25)
    arrays = inputs(case)
    peers = find_spec("torch") is not None
    if not peers:
        print(NO_TORCH)
    watch = Watch(bench)
    for direction, at_most in (("forward", 0.9), ("forward and backward", 0.8)):
        thunks = ours(arrays, direction)
        if peers:
            forms = theirs(arrays, direction)
            form = fastest_form(bench, forms, direction)
            thunks["torch"] = forms[form]
            if direction == "forward" and (naive := recurrence(arrays)):
                thunks["fla's recurrence"] = naive
        thunks["product"] = product(watch.edge)
        timed = measure(bench, case, thunks, direction, repeats, form if peers else "", at_most)
        watch.add(timed["product"].samples)
    return watch.finish()


def a_device_for_each_thread() -> None:
    """Has jax take this processor as so many devices; one of them alone runs as ever."""
    import jax

    from workbench.measure.device import threads_available

    jax.config.update("jax_num_cpu_devices", threads_available())


def inputs(case: Case) -> dict[str, np.ndarray]:
    """Random q, k, v, gates as GLA has them (tau = 16), and a gradient of the output."""
    rng = np.random.default_rng(0)

    def normal(width: int) -> np.ndarray:
        return rng.standard_normal((case.batch, case.time, case.heads, width), np.float32)

    gates = -np.logaddexp(0, -normal(case.key)) / np.float32(16)
    q, k, v, d_out = (normal(n) for n in (case.key, case.key, case.value, case.value))
    return {"q": q, "k": k, "v": v, "g": gates, "d_out": d_out}


def ours(arrays: Mapping[str, np.ndarray], direction: str) -> Thunks:
    """This library with each scheme inside chunks, and with gates that no factoring bears."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    given = {name: jnp.asarray(array) for name, array in arrays.items()}
    strong = {**given, "g": 16 * given["g"] - 3}
    thunks = {
        "auto": thunk(given, direction, "auto"),
        "one_level": thunk(given, direction, "one_level"),
        "two_level": thunk(given, direction, "two_level"),
        "auto, strong gates": thunk(strong, direction, "auto"),
    }
    heads, devices = given["q"].shape[2], jax.devices()
    if len(devices) > 1 and heads % len(devices) == 0:
        mesh = Mesh(devices, "heads")
        by_head = NamedSharding(mesh, PartitionSpec(None, None, "heads"))
        apart = jax.device_put(given, by_head)
        thunks[SHARED_OUT] = thunk(apart, direction, "auto", by_head)
    return thunks


def thunk(
    arrays: Mapping[str, jax.Array], direction: str, intra: str, apart: Any = None
) -> Callable[[], Any]:
    """One call of this library's op; with a sharding, each device has its part of all arrays."""
    import jax

    from kernels_pallas import gated_linear_attention

    def call(*given: jax.Array) -> jax.Array:
        return gated_linear_attention(*given, intra=intra)[0]

    def both(d_out: jax.Array, *given: jax.Array) -> Any:
        out, pull = jax.vjp(call, *given)
        return out, pull(d_out)

    function = call if direction == "forward" else both
    if apart is not None:
        function = jax.shard_map(
            function, mesh=apart.mesh, in_specs=apart.spec, out_specs=apart.spec
        )
    run = jax.jit(function)
    given = [arrays[name] for name in ("q", "k", "v", "g")]
    return lambda: run(*([] if direction == "forward" else [arrays["d_out"]]), *given)


def theirs(arrays: Mapping[str, np.ndarray], direction: str) -> Thunks:
    """Every form of the peer; heads lead, which is the layout that suits them."""
    import torch

    from workbench.measure.device import threads_available

    q, k, v, g, d_out = (heads_lead(array) for array in arrays.values())
    plain: dict[str, Callable[..., Any]] = {}
    for chunk in (32, 64, 128):
        plain |= {
            f"all chunks of {chunk}": all_chunks(chunk),
            f"loop over chunks of {chunk}": loop(chunk),
        }
    plain |= {f"all chunks of {chunk}, sub-blocks": sub_blocks(chunk, 16) for chunk in (32, 64)}
    compiled = {
        f"{name}, compiled": torch.compile(plain[name], dynamic=False)
        for name in ("all chunks of 64", "all chunks of 128")
    }

    def thunk(form: Callable[..., Any], threads: int) -> Callable[[], Any]:
        def forward() -> Any:
            torch.set_num_threads(threads)
            with torch.inference_mode():
                return form(q, k, v, g)

        leaves = [one.clone().requires_grad_() for one in (q, k, v, g)]

        def both() -> Any:
            torch.set_num_threads(threads)
            out = form(*leaves)
            return out, torch.autograd.grad(out, leaves, d_out)

        return forward if direction == "forward" else both

    every = threads_available()
    thunks = {name: thunk(form, every) for name, form in (plain | compiled).items()}
    if every > 1:
        thunks |= {f"{name}, one thread": thunk(form, 1) for name, form in plain.items()}
    return thunks


def heads_lead(array: np.ndarray) -> Any:
    """[B, T, H, D] as torch's [B H, T, D]."""
    import torch

    moved = np.ascontiguousarray(np.moveaxis(array, 2, 1))
    return torch.from_numpy(moved.reshape(-1, *moved.shape[2:]))


def all_chunks(chunk: int) -> Callable[..., Any]:
    """One level, every chunk in one batched product; a loop for the states alone."""

    def form(q, k, v, g):
        q, k, v, g = (one.unflatten(1, (-1, chunk)) for one in (q, k, v, g))
        decay = g.cumsum(2).exp()
        read, key = q * (q.shape[-1] ** -0.5) * decay, k / decay
        last = decay[:, :, -1:]
        inner = (read @ key.transpose(-1, -2)).tril() @ v
        states = entering((key * last).transpose(-1, -2) @ v, last.transpose(-1, -2))
        return (inner + read @ states).flatten(1, 2)

    return form


def entering(written: Any, carry: Any) -> Any:
    """The state that enters each chunk [n, N, K, V], from what each writes and carries on."""
    import torch

    state, states = torch.zeros_like(written[:, 0]), []
    for at in range(written.shape[1]):
        states.append(state)
        state = torch.addcmul(written[:, at], state, carry[:, at])
    return torch.stack(states, 1)


def sub_blocks(chunk: int, size: int) -> Callable[..., Any]:
    """Two levels: sub-blocks around their own start, those before around the queries' start."""
    import torch

    count = chunk // size

    def form(q, k, v, g):
        q, k, v, g = (one.unflatten(1, (-1, chunk)) for one in (q, k, v, g))
        total = g.cumsum(2)
        q = q * (q.shape[-1] ** -0.5)
        rows = []
        for block in range(count):
            here, before = slice(block * size, (block + 1) * size), slice(0, block * size)
            start = total[:, :, block * size - 1 : block * size] if block else 0.0
            own = (total[:, :, here] - start).exp()
            query = q[:, :, here] * own
            row = (query @ (k[:, :, here] / own).transpose(-1, -2)).tril() @ v[:, :, here]
            if block:
                key = k[:, :, before] * (start - total[:, :, before]).exp()
                row = row + query @ key.transpose(-1, -2) @ v[:, :, before]
            rows.append(row)
        last = total[:, :, -1:]
        written = (k * (last - total).exp()).transpose(-1, -2) @ v
        states = entering(written, last.exp().transpose(-1, -2))
        return (torch.cat(rows, 2) + (q * total.exp()) @ states).flatten(1, 2)

    return form


def loop(chunk: int) -> Callable[..., Any]:
    """One level, a chunk at a time: everything stays in cache."""
    import torch

    def form(q, k, v, g):
        state = torch.zeros(q.shape[0], q.shape[2], v.shape[2])
        pieces = zip(*(one.split(chunk, 1) for one in (q, k, v, g)), strict=True)
        out = []
        for q_n, k_n, v_n, g_n in pieces:
            decay = g_n.cumsum(1).exp()
            read, key = q_n * (q.shape[-1] ** -0.5) * decay, k_n / decay
            last = decay[:, -1:]
            inner = (read @ key.transpose(1, 2)).tril() @ v_n
            out.append(torch.baddbmm(inner, read, state))
            carried = state * last.transpose(1, 2)
            state = torch.baddbmm(carried, (key * last).transpose(1, 2), v_n)
        return torch.cat(out, 1)

    return form


def recurrence(arrays: Mapping[str, np.ndarray]) -> Callable[[], Any] | None:
    """flash-linear-attention's own `naive_recurrent_gla`; None where fla-core is not here.

    Its file is read by itself, for the package around it wants Triton.
    """
    import torch

    from workbench.measure.device import threads_available

    if (package := find_spec("fla")) is None:
        return None
    (folder,) = package.submodule_search_locations or ()
    naive = runpy.run_path(f"{folder}/ops/gla/naive.py")["naive_recurrent_gla"]
    q, k, v, g = (torch.from_numpy(arrays[name]) for name in ("q", "k", "v", "g"))

    def run() -> Any:
        torch.set_num_threads(threads_available())
        with torch.inference_mode():
            return naive(q, k, v, g)

    return run


def fastest_form(bench: Benchmark, thunks: Thunks, direction: str) -> str:
    """The peer's fastest form over a few rounds; one that fails here is noted and left out."""
    from workbench.measure.timing import interleaved

    found: dict[str, Any] = bench.raw.setdefault(f"forms of torch, {direction}", {})
    for name in list(thunks):
        if bench.tiny and "compiled" in name:
            thunks.pop(name)
            continue
        try:
            thunks[name]()
        except Exception as error:  # a compiler that is not there, in one of many ways
            thunks.pop(name)
            found[name] = f"failed: {type(error).__name__}: {str(error).splitlines()[0][:120]}"
    timed = interleaved(thunks, repeats=2 if bench.tiny else 7)
    found |= {name: timing.low for name, timing in timed.items()}
    return min(timed, key=lambda name: timed[name].low)


def measure(
    bench: Benchmark, case: Case, thunks: Thunks, direction: str, repeats: int, form: str,
    at_most: float,
) -> dict[str, Any]:  # fmt: skip
    """Times by turns, and the figures that follow."""
    import jax

    from workbench.measure.timing import interleaved

    timed = interleaved(thunks, repeats=repeats, min_time=0.01 if bench.tiny else 0.15)
    bench.add_timings({f"{direction}: {name}": timing for name, timing in timed.items()})
    title = f"gated linear attention, {case.words}, {direction}"
    for name, words in (("auto", "this library"), ("torch", f"torch ({form})")):
        if name in timed:
            first, third = (1e3 * q for q in timed[name].quartiles)
            bench.add(Figure(f"{title}: {words}", 1e3 * timed[name].median, "ms", first, third))
    if "torch" in thunks:
        compare(bench, case, thunks, direction)
        rate = flops(case, form, direction) / timed["torch"].median / 1e9
        bench.add(Figure(f"{title}: torch's rate", rate, "GFLOP/s"))
        bench.add(over(timed, "auto", "torch", f"{title}: time over torch's", at_most))
        if SHARED_OUT in timed:
            words = f"{title}, heads shared out over {jax.device_count()} devices"
            bench.add(over(timed, SHARED_OUT, "torch", f"{words}: time over torch's", at_most))
    if "fla's recurrence" in timed:
        words = f"{title}: time over fla's recurrence"
        bench.add(over(timed, "auto", "fla's recurrence", words, 0.1))
    words = f"{title}: two levels over one"
    bench.add(over(timed, "two_level", "one_level", words, 1.1))
    words = f"{title}: strong gates over mild"
    bench.add(over(timed, "auto, strong gates", "auto", words, None))
    return timed


def over(timed: dict[str, Any], a: str, b: str, title: str, at_most: float | None) -> Figure:
    """Time of one over that of another, round by round: what disturbs a round disturbs both."""
    pairs = zip(timed[a].samples, timed[b].samples, strict=True)
    low, middle, high = np.quantile([one / other for one, other in pairs], (0.25, 0.5, 0.75))
    return Figure(title, float(middle), "×", float(low), float(high), at_most=at_most)


def flops(case: Case, form: str, direction: str) -> float:
    """Of the peer's form: its products, counted dense; backward has twice as many as forward."""
    chunk = int(next(word for word in form.replace(",", "").split() if word.isdigit()))
    tokens = case.batch * case.heads * case.time
    macs = tokens * (chunk * (case.key + case.value) + 2 * case.key * case.value)
    return 2 * macs * (1 if direction == "forward" else 3)


def compare(bench: Benchmark, case: Case, thunks: Thunks, direction: str) -> None:
    """The two give the same output and gradients."""
    there = results(thunks["torch"]())
    for name in ("auto", SHARED_OUT):
        if name not in thunks:
            continue
        width = 0.0
        for mine, other in zip(results(thunks[name]()), there, strict=True):
            wanted = other.detach().numpy().reshape(case.batch, case.heads, case.time, -1)
            wanted = np.moveaxis(wanted, 1, 2).reshape(mine.shape)
            difference = np.abs(np.asarray(mine) - wanted).max()
            width = max(width, float(difference / np.abs(wanted).max()))
        bench.raw[f"largest difference, {direction}, {name}"] = width
        if not width < LARGEST_ERROR:
            raise AssertionError(f"{direction}, {name}: {width} of the largest value apart")


def results(found: Any) -> tuple[Any, ...]:
    """The output, and the gradients where there are any."""
    return (found[0], *found[1]) if isinstance(found, tuple) else (found,)


if __name__ == "__main__":
    sys.exit(main())
