"""Grouped convolutions of vision models on this CPU in every form, beside XLA's own and torch's.

The peers, in the same run and by turns: `lax.conv_general_dilated` as it is, which is the form
"xla", and torch's `conv2d` with its pictures channels first or last, the faster of both. On one
thread times are of the processor, which are those of a clock on a quiet machine; on all of them, of
the clock. Which shapes there are is in `grouped_shapes`.

python benchmarks/grouped_conv2d.py [--tiny] [--repeats N] [--threads one] [--tune] [--only WORD]

`--tune` times every form, not the chosen one alone, and writes what it measured to
`kernels_pallas/grouped_conv2d/tuned.json` under this processor's class; the op chooses its forms
from them, and so do this run's figures. It goes with `--threads one`.

Needs torch beside jax: `make test-parity` makes `.venv-parity`, which runs this where this Python
has no torch.
"""

from __future__ import annotations

import functools
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from grouped_shapes import BATCHES, GRADIENTS, KERNELS, TINY, Case, of_all_networks
from rates import VALID, Watch
from record import ROOT, THREADS, Benchmark, Figure, elsewhere, ratio
from tuned import write

NO_TORCH = "skipped: torch's side, for torch is not here (make test-parity)"
TUNED = ROOT / "kernels_pallas" / "grouped_conv2d" / "tuned.json"
LARGEST_ERROR = 1e-4
PEERS = ("torch, channels first", "torch, channels last")
MOST_TERMS = 128
"""Taps times channels of a group up to which the form "taps" is tried: more take long to compile
and are slow."""

WIDEST = 16
"""Channels of a group up to which pixels are taken together: wider ones fill a vector unit."""

NARROW = 128
"""Channels up to which all groups are tried as one dense kernel."""

WATCHED = 20
"""Cases between which the machine's rate is looked at."""

SAMPLE = 0.003
"""Seconds that a sample lasts at least."""


def main() -> int:
    """Every case by turns, and the table of the forms where it is asked for."""
    if (status := elsewhere(__file__)) is not None:
        return status
    more = [
        ("--repeats", {"type": int, "default": 7}),
        THREADS,
        ("--tune", {"action": "store_true", "help": "write tuned.json"}),
        ("--only", {"default": "", "help": "cases with this word in their line"}),
    ]
    bench, options = Benchmark.from_command(__file__, "Grouped convolutions on a CPU", more=more)
    peer = find_spec("torch") is not None
    if not peer:
        print(NO_TORCH)
    repeats = 2 if bench.tiny else options.repeats
    networks = TINY if bench.tiny else of_all_networks()
    cases = dict.fromkeys((*networks, *(() if bench.tiny else BATCHES)))
    kept = [case for case in cases if options.only in case.words]
    watch = Watch(bench)
    timed = {}
    for number, case in enumerate(kept):
        if number % WATCHED == 0:
            watch()
        timed[case] = forward(bench, case, repeats, peer, options.tune)
    if options.tune and not bench.tiny:
        slopes = [case for case in KERNELS if options.only in case.words]
        found = {case: of_kernel(bench, case, repeats) for case in slopes}
        if watch.share is None or watch.share >= VALID:
            tune(timed, found)
    add_figures(bench, timed, peer, networks)
    for case in TINY if bench.tiny else GRADIENTS:
        if options.only in case.words:
            watch()
            backward(bench, case, max(2, repeats - 2), peer)
    return watch.finish()


def forward(bench: Benchmark, case: Case, repeats: int, peer: bool, every: bool) -> dict[str, Any]:
    """XLA's own, the chosen form or every one, and torch's, by turns."""
    import jax
    import numpy as np

    x, kernel = arrays(case)
    names = forms(case) if every else list(dict.fromkeys(["xla", chosen(case)]))
    calls = {name: jax.jit(op(case, name)) for name in names}
    thunks = {name: functools.partial(finished, call, x, kernel) for name, call in calls.items()}
    expected = np.asarray(thunks["xla"]())
    for name, thunk in thunks.items():
        error = float(np.abs(np.asarray(thunk()) - expected).max())
        if not error < LARGEST_ERROR:
            raise AssertionError(f"{case.words}: {name} is {error} away from XLA's convolution")
    timed = by_turns(bench, {**thunks, **(theirs(case, x, kernel) if peer else {})}, repeats)
    bench.add_timings({f"{case.words}: {name}": timing for name, timing in timed.items()})
    shown = (f"{name} {1e3 * min(each(bench, one)):.3g}" for name, one in timed.items())
    print(case.words, *shown, sep="; ", flush=True)
    return timed


def of_kernel(bench: Benchmark, case: Case, repeats: int) -> dict[str, float]:
    """Seconds of the gradient to the kernel alone, in each form that has one."""
    import jax

    from kernels_pallas.conv2d.window import window
    from kernels_pallas.grouped_conv2d.gradient import KERNELS

    x, kernel = arrays(case)
    place = window(x.shape[1:3], kernel.shape[:2], case.stride, case.taps // 2)
    groups = case.channels // case.width
    slopes = jax.block_until_ready(jax.jit(op(case, "xla"))(x, kernel))

    def form(name: str) -> Callable[[], Any]:
        found = functools.partial(KERNELS[name], groups=groups, window=place)
        return functools.partial(finished, jax.jit(found), x, slopes, kernel)

    names = [name for name in KERNELS if fits(case, name)]
    timed = by_turns(bench, {name: form(name) for name in names}, repeats)
    title = f"{case.words}, gradient of the kernel"
    bench.add_timings({f"{title}: {name}": timing for name, timing in timed.items()})
    seconds = {name: min(each(bench, timing)) for name, timing in timed.items()}
    print(title, *(f"{name} {1e3 * one:.3g}" for name, one in seconds.items()), sep="; ")
    return seconds


def tune(timed: dict[Case, dict[str, Any]], slopes: dict[Case, dict[str, float]]) -> None:
    """Writes `tuned.json`, and has this process choose by it."""
    from kernels_pallas import tuning

    points: dict[tuple[Any, ...], dict[str, Any]] = {}
    for case, timings in timed.items():
        seconds = {name: min(one.cpu_samples) for name, one in timings.items() if name not in PEERS}
        add_point(points, case, "seconds", seconds)
    for case, seconds in slopes.items():
        add_point(points, case, "kernel_gradient", seconds)
    write(TUNED, __file__, list(points.values()))
    tuning.table.cache_clear()
    tuning.fastest.cache_clear()


def backward(bench: Benchmark, case: Case, repeats: int, peer: bool) -> None:
    """The op and both gradients beside those that jax derives from XLA's own form, and torch's."""
    import jax

    x, kernel = arrays(case)

    def gradients(name: str) -> Callable[..., Any]:
        def both(x: Any, kernel: Any) -> Any:
            out, back = jax.vjp(op(case, name), x, kernel)
            return back(out)

        return jax.jit(both)

    sides = {"xla": "xla", "ours": "auto"}
    thunks = {
        name: functools.partial(finished, gradients(form), x, kernel)
        for name, form in sides.items()
    }
    more = theirs(case, x, kernel, gradients=True) if peer else {}
    timed = by_turns(bench, {**thunks, **more}, repeats)
    title = f"{case.words}, with gradients"
    bench.add_timings({f"{title}: {name}": timing for name, timing in timed.items()})
    bound = {} if bench.tiny else {"at_least": case.bound}
    bench.add(*beside(bench, title, timed, "ours", peer, **bound))


def by_turns(bench: Benchmark, thunks: dict[str, Callable[[], Any]], repeats: int) -> Any:
    """Timings of them all."""
    from workbench.measure.timing import interleaved

    return interleaved(thunks, repeats=repeats, min_time=0.0 if bench.tiny else SAMPLE)


def each(bench: Benchmark, timing: Any) -> Any:
    """Its samples: of the processor on one thread, of the clock on all."""
    return timing.cpu_samples if bench.threads == "one" else timing.samples


def finished(call: Callable[..., Any], *arrays: Any) -> Any:
    """Calls and waits."""
    import jax

    return jax.block_until_ready(call(*arrays))


def shapes(case: Case) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of the picture and of the kernel."""
    picture = (case.batch, case.pixels, case.pixels, case.channels)
    return picture, (case.taps, case.taps, case.width, case.channels)


def arrays(case: Case) -> Any:
    """A picture and a kernel, random."""
    import jax.numpy as jnp
    import numpy as np

    rng = np.random.default_rng(0)
    shape, taps = shapes(case)
    scale = np.float32((case.taps**2 * case.width) ** 0.5)
    x = rng.standard_normal(shape, dtype=np.float32)
    return jnp.asarray(x), jnp.asarray(rng.standard_normal(taps, dtype=np.float32) / scale)


def forms(case: Case) -> list[str]:
    """Those worth a trial."""
    from kernels_pallas.grouped_conv2d import OP

    return ["xla", *(name for name in OP.cpu if fits(case, name))]


def fits(case: Case, form: str) -> bool:
    """Whether a form is another one than those before it, and not hopeless."""
    if form == "taps":
        return case.taps**2 * case.width <= MOST_TERMS
    if form == "taps_blocks":
        return case.width == 1 and case.taps > 3
    if form == "sums":
        return case.width == 1
    if form.startswith(("merged", "products")):
        width = int(form.rpartition("_")[2])
        alone = case.width == width and form.startswith("products")
        return (1 < case.width < width or alone) and width // 2 < case.channels
    if form == "dense":
        return case.width > 1 and case.channels <= NARROW
    if form.startswith("beside"):
        return 1 < case.width <= WIDEST
    return case.width > 1


def op(case: Case, form: str) -> Callable[..., Any]:
    """The op in a form."""
    from kernels_pallas import grouped_conv2d

    return functools.partial(
        grouped_conv2d,
        groups=case.channels // case.width,
        strides=case.stride,
        padding=case.taps // 2,
        implementation=form,
    )


def chosen(case: Case) -> str:
    """The form that the op takes by itself on a CPU."""
    import jax
    import jax.numpy as jnp

    from kernels_pallas import chosen as asked

    given = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes(case)]
    (found,) = asked(op(case, "auto"), *given, device="cpu")
    return found.form


def theirs(case: Case, x: Any, kernel: Any, gradients: bool = False) -> dict[str, Callable]:
    """torch's convolution, with both orders of axes in memory."""
    import numpy as np
    import torch

    from workbench.measure.device import threads_available

    torch.set_num_threads(threads_available())
    pixels = torch.from_numpy(np.ascontiguousarray(np.asarray(x).transpose(0, 3, 1, 2)))
    weights = torch.from_numpy(np.ascontiguousarray(np.asarray(kernel).transpose(3, 2, 0, 1)))

    def form(kind: Any) -> Callable[[], Any]:
        given = [array.to(memory_format=kind) for array in (pixels, weights)]
        convolve = functools.partial(
            torch.conv2d,
            padding=case.taps // 2,
            stride=case.stride,
            groups=case.channels // case.width,
        )

        def plain() -> Any:
            with torch.inference_mode():
                return convolve(*given)

        def with_gradients() -> Any:
            leaves = [array.clone().requires_grad_() for array in given]
            out = convolve(*leaves)
            return torch.autograd.grad(out, leaves, out.detach())

        return with_gradients if gradients else plain

    kinds = (torch.contiguous_format, torch.channels_last)
    return {name: form(kind) for name, kind in zip(PEERS, kinds, strict=True)}


def add_figures(
    bench: Benchmark, timed: dict[Case, dict[str, Any]], peer: bool, networks: Sequence[Case]
) -> None:
    """Every shape beside XLA's own and torch's.

    Of the networks the least of each family has the target; of the other batches, each.
    """
    least: dict[str, list[tuple[Case, Figure]]] = {}
    for case, timings in timed.items():
        form = chosen(case)
        bound = {"at_least": case.bound} if case in BATCHES else {}
        found = beside(bench, case.words, timings, form, peer, **bound)
        bench.add(*found)
        if case in networks:
            least.setdefault(case.summary, []).append((case, found[0]))
    for summary, found in least.items():
        case, figure = min(found, key=lambda pair: pair[1].value)
        name = f"{summary}, the least of {len(found)} shapes ({case.kind}, {case.where})"
        bench.add(
            replace(
                figure,
                name=f"{name}: XLA's own over ours",
                at_least=None if bench.tiny else case.bound,
            )
        )


def beside(
    bench: Benchmark, title: str, timed: dict[str, Any], ours: str, peer: bool, **target: float
) -> list[Figure]:
    """How many times XLA's own speed the chosen form has, and its time over torch's."""
    mine = each(bench, timed[ours])
    found = [ratio(f"{title}: XLA's own over {ours}", each(bench, timed["xla"]), mine, **target)]
    if peer:
        best = min(PEERS, key=lambda name: statistics.median(each(bench, timed[name])))
        found.append(ratio(f"{title}: {ours} over {best}", mine, each(bench, timed[best])))
    return found


def add_point(
    points: dict[tuple[Any, ...], dict[str, Any]], case: Case, of: str, seconds: dict[str, float]
) -> None:
    """A shape with what was measured, as `tuned.json` holds it."""
    shape = {
        "taps": case.taps**2,
        "stride": case.stride,
        "inputs": case.width,
        "outputs": case.width,
        "groups": case.channels // case.width,
        "rows": case.batch * (-(-case.pixels // case.stride)) ** 2,
    }
    one = points.setdefault(tuple(shape.values()), shape)
    one[of] = {name: float(f"{value:.3g}") for name, value in seconds.items()}


if __name__ == "__main__":
    sys.exit(main())
