"""Grouped convolutions of vision models on this CPU in every form, beside XLA's own and torch's.

The peers, in the same run and by turns: `lax.conv_general_dilated` as it is, which is the form
"xla", and torch's `conv2d` with its pictures channels first or last, the faster of both. Times are
of the processor: on one thread, those of a clock on a quiet machine.

python benchmarks/grouped_conv2d.py [--tiny] [--repeats N] [--threads one] [--tune] [--only WORD]

`--tune` writes the measured times to `kernels_pallas/grouped_conv2d/tuned.json` under this
processor's class; the op chooses its form from them. It goes with `--threads one`.

Needs torch beside jax: `make test-parity` makes `.venv-parity`, which runs this where this Python
has no torch.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

from rates import Watch
from record import ROOT, THREADS, Benchmark, elsewhere, ratio
from tuned import write

NO_TORCH = "skipped: torch's side, for torch is not here (make test-parity)"
TUNED = ROOT / "kernels_pallas" / "grouped_conv2d" / "tuned.json"
LARGEST_ERROR = 1e-4
PEERS = ("torch, channels first", "torch, channels last")
MOST_TERMS = 128
"""Taps times channels of a group up to which the form "taps" is tried: more take long to compile
and are slow."""
TIMES_FASTER = 10
"""At least, than XLA's own, for depthwise 3 x 3 at stride 1; elsewhere at least as fast."""


class Case(NamedTuple):
    """A square grouped convolution that keeps the number of channels."""

    model: str
    batch: int
    pixels: int
    channels: int
    width: int = 1
    taps: int = 3
    stride: int = 1

    @property
    def words(self) -> str:
        """The case in a line."""
        kind = "depthwise" if self.width == 1 else f"groups of {self.width},"
        taps = f"{self.taps} × {self.taps}"
        stride = f", stride {self.stride}" if self.stride != 1 else ""
        where = f"{self.batch} × {self.pixels} × {self.pixels} × {self.channels}"
        return f"{self.model}: {kind} {taps}{stride}, {where}"

    @property
    def bound(self) -> float:
        """How many times XLA's own it must be."""
        depthwise = self.width == 1 and self.taps == 3 and self.stride == 1
        return TIMES_FASTER if depthwise else 1


V1, V2, V3, B0 = "MobileNet V1", "MobileNet V2", "MobileNet V3-L", "EfficientNet-B0"
NEXT, RESNEXT, WIDE = "ConvNeXt-T", "ResNeXt-50", "MobileNet V1 in groups"
CASES = (
    Case(V1, 1, 112, 32),
    Case(V1, 1, 112, 64, stride=2),
    Case(V1, 8, 56, 128),
    Case(V1, 8, 56, 128, stride=2),
    Case(V1, 1, 28, 256),
    Case(V1, 1, 14, 512),
    Case(V1, 1, 14, 512, stride=2),
    Case(V1, 1, 7, 1024),
    Case(V2, 8, 112, 32),
    Case(V2, 8, 56, 144),
    Case(V2, 8, 56, 144, stride=2),
    Case(V2, 8, 28, 192),
    Case(V2, 8, 28, 192, stride=2),
    Case(V2, 8, 14, 576),
    Case(V2, 8, 7, 960),
    Case(V3, 8, 56, 72, taps=5, stride=2),
    Case(V3, 8, 28, 120, taps=5),
    Case(V3, 1, 14, 672, taps=5, stride=2),
    Case(V3, 8, 7, 960, taps=5),
    Case(B0, 8, 28, 240, taps=5),
    Case(B0, 1, 14, 480, taps=5),
    Case(B0, 1, 7, 1152, taps=5),
    Case(NEXT, 8, 56, 96, taps=7),
    Case(NEXT, 1, 28, 192, taps=7),
    Case(NEXT, 8, 14, 384, taps=7),
    Case(NEXT, 1, 7, 768, taps=7),
    Case(RESNEXT, 8, 56, 128, width=4),
    Case(RESNEXT, 1, 56, 128, width=4),
    Case(RESNEXT, 8, 56, 256, width=8, stride=2),
    Case(RESNEXT, 8, 28, 256, width=8),
    Case(RESNEXT, 8, 14, 512, width=16),
    Case(RESNEXT, 1, 14, 512, width=16),
    Case(RESNEXT, 8, 14, 1024, width=32, stride=2),
    Case(RESNEXT, 8, 7, 1024, width=32),
    Case(WIDE, 8, 28, 64, width=2),
    Case(WIDE, 8, 56, 64, width=8),
    Case(WIDE, 8, 14, 256, width=8),
    Case(WIDE, 1, 14, 256, width=8),
    Case(WIDE, 1, 7, 1024, width=8),
    Case(WIDE, 8, 28, 256, width=16),
    Case(WIDE, 8, 14, 512, width=16, stride=2),
    Case(WIDE, 8, 28, 256, width=32),
    Case(WIDE, 1, 14, 512, width=32),
)
GRADIENTS = (
    Case(V2, 2, 56, 144),
    Case(V2, 2, 56, 144, stride=2),
    Case(V2, 2, 14, 576),
    Case(B0, 2, 28, 240, taps=5),
    Case(NEXT, 2, 14, 384, taps=7),
    Case(RESNEXT, 2, 28, 128, width=4),
    Case(WIDE, 2, 14, 256, width=8),
    Case(RESNEXT, 2, 14, 512, width=16),
    Case(RESNEXT, 2, 7, 1024, width=32),
)
"""Whose gradients are timed: smaller batches, since XLA's own take seconds."""

TINY = (Case(V2, 1, 8, 8), Case(WIDE, 1, 8, 16, width=8, stride=2))


def main() -> int:
    """Every case by turns, and the table of the forms where it is asked for."""
    if (status := elsewhere(__file__)) is not None:
        return status
    more = [
        ("--repeats", {"type": int, "default": 5}),
        THREADS,
        ("--tune", {"action": "store_true", "help": "write tuned.json"}),
        ("--only", {"default": "", "help": "cases with this word in their line"}),
    ]
    bench, options = Benchmark.from_command(
        __file__, "Grouped convolutions on a CPU, times of the processor", more=more
    )
    peer = find_spec("torch") is not None
    if not peer:
        print(NO_TORCH)
    repeats = 2 if bench.tiny else options.repeats
    points, watch = [], Watch(bench)
    for case in TINY if bench.tiny else CASES:
        if options.only in case.words:
            watch()
            points.append(point(case, forward(bench, case, repeats, peer)))
    for case in TINY if bench.tiny else GRADIENTS:
        if options.only in case.words:
            watch()
            backward(bench, case, max(2, repeats - 2), peer)
    invalid = watch.finish()
    if options.tune and not (bench.tiny or invalid):
        write(TUNED, __file__, points)
    return invalid


def forward(bench: Benchmark, case: Case, repeats: int, peer: bool) -> dict[str, float]:
    """Seconds of processor time in each form, the least of the repeats; figures of the chosen."""
    import jax
    import numpy as np

    from workbench.measure.timing import interleaved

    x, kernel = arrays(case)
    calls = {name: jax.jit(op(case, name)) for name in forms(case)}
    thunks = {name: functools.partial(finished, call, x, kernel) for name, call in calls.items()}
    expected = np.asarray(thunks["xla"]())
    for name, thunk in thunks.items():
        error = float(np.abs(np.asarray(thunk()) - expected).max())
        if not error < LARGEST_ERROR:
            raise AssertionError(f"{case.words}: {name} is {error} away from XLA's convolution")
    timed = interleaved({**thunks, **(theirs(case, x, kernel) if peer else {})}, repeats=repeats)
    bench.add_timings({f"{case.words}: {name}": timing for name, timing in timed.items()})
    seconds = {name: min(timing.cpu_samples) for name, timing in timed.items()}
    print(case.words, *(f"{name} {1e3 * value:.2f}" for name, value in seconds.items()), sep="; ")
    add_figures(bench, case, case.words, timed, peer, case.bound)
    return {name: seconds[name] for name in thunks}


def backward(bench: Benchmark, case: Case, repeats: int, peer: bool) -> None:
    """Both gradients beside those that jax derives from XLA's own form, and torch's."""
    import jax

    from workbench.measure.timing import interleaved

    x, kernel = arrays(case)

    def gradients(name: str) -> Callable[..., Any]:
        def both(x: Any, kernel: Any) -> Any:
            out, back = jax.vjp(op(case, name), x, kernel)
            return back(out)

        return jax.jit(both)

    names = dict.fromkeys(["xla", chosen(case)])
    thunks = {name: functools.partial(finished, gradients(name), x, kernel) for name in names}
    more = theirs(case, x, kernel, gradients=True) if peer else {}
    timed = interleaved({**thunks, **more}, repeats=repeats)
    title = f"{case.words}, with gradients"
    bench.add_timings({f"{title}: {name}": timing for name, timing in timed.items()})
    add_figures(bench, case, title, timed, peer, case.bound)


def finished(call: Callable[..., Any], *arrays: Any) -> Any:
    """Calls and waits."""
    import jax

    return jax.block_until_ready(call(*arrays))


def arrays(case: Case) -> Any:
    """A picture and a kernel, random."""
    import jax.numpy as jnp
    import numpy as np

    rng = np.random.default_rng(0)
    shape = (case.batch, case.pixels, case.pixels, case.channels)
    taps = (case.taps, case.taps, case.width, case.channels)
    scale = np.float32((case.taps**2 * case.width) ** 0.5)
    x = rng.standard_normal(shape, dtype=np.float32)
    return jnp.asarray(x), jnp.asarray(rng.standard_normal(taps, dtype=np.float32) / scale)


def forms(case: Case) -> list[str]:
    """Those worth a trial."""
    terms = case.taps**2 * case.width
    return [
        "xla",
        *(["taps"] if terms <= MOST_TERMS else []),
        *(["per_group"] if case.width > 1 else []),
    ]


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

    from kernels_pallas import chosen as asked

    arrays_of = [jax.ShapeDtypeStruct(one.shape, one.dtype) for one in arrays(case)]
    (found,) = asked(op(case, "auto"), *arrays_of, device="cpu")
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
    bench: Benchmark, case: Case, title: str, timed: dict[str, Any], peer: bool, bound: float
) -> None:
    """How many times XLA's own speed the chosen form has, and its time over torch's."""
    form = chosen(case)
    bound = 0.0 if bench.tiny else bound
    bench.add(
        ratio(
            f"{title}: XLA's own over {form}",
            timed["xla"].cpu_samples,
            timed[form].cpu_samples,
            at_least=bound,
        )
    )
    if peer:
        best = min(PEERS, key=lambda name: timed[name].cpu_median)
        bench.add(
            ratio(f"{title}: {form} over {best}", timed[form].cpu_samples, timed[best].cpu_samples)
        )


def point(case: Case, seconds: dict[str, float]) -> dict[str, Any]:
    """A shape with what was measured, as `tuned.json` holds it."""
    return {
        "taps": case.taps**2,
        "stride": case.stride,
        "inputs": case.width,
        "outputs": case.width,
        "groups": case.channels // case.width,
        "rows": case.batch * (-(-case.pixels // case.stride)) ** 2,
        "seconds": {name: float(f"{value:.3g}") for name, value in seconds.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
