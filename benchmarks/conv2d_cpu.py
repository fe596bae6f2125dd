"""Convolutions of diffusion models on this CPU in every form, beside torch's, by turns.

The peer is `conv2d` of torch with its pictures channels first or last, the faster of both.

python benchmarks/conv2d_cpu.py [--tiny] [--repeats N] [--threads one] [--tune]

`--tune` writes the measured times to `kernels_pallas/conv2d/tuned.json` under this processor's
class; the op chooses its form from them. It goes with `--threads one`.

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
from record import ROOT, THREADS, Benchmark, Figure, elsewhere, ratio
from tuned import write

NO_TORCH = "skipped: torch's side, for torch is not here (make test-parity)"
TUNED = ROOT / "kernels_pallas" / "conv2d" / "tuned.json"
LARGEST_ERROR = 1e-4
WEIGHTS = "winograd, weights transformed before"
PEERS = ("torch, channels first", "torch, channels last")


class Case(NamedTuple):
    """A square convolution: batch, pixels a side, channels, taps a side, stride."""

    batch: int
    pixels: int
    inputs: int
    outputs: int
    taps: int = 3
    stride: int = 1
    figure: str = ""
    """Words for the table; empty for a shape that is only measured."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the definition."""
        rows = self.batch * (self.pixels // self.stride) ** 2
        return rows * self.taps**2 * self.inputs * self.outputs


UNET = "SD 1.5 UNet, batch 2"
CASES = (
    Case(2, 64, 320, 320, figure=f"{UNET}, 64 × 64, 320 to 320"),
    Case(2, 64, 640, 320, figure=f"{UNET}, 64 × 64, 640 to 320"),
    Case(2, 64, 4, 320),
    Case(2, 64, 320, 4),
    Case(2, 32, 640, 640, figure=f"{UNET}, 32 × 32, 640 to 640"),
    Case(2, 32, 1280, 640),
    Case(2, 16, 1280, 1280, figure=f"{UNET}, 16 × 16, 1280 to 1280"),
    Case(2, 16, 2560, 1280),
    Case(2, 8, 1280, 1280, figure=f"{UNET}, 8 × 8, 1280 to 1280"),
    Case(2, 8, 2560, 1280),
    Case(2, 64, 320, 320, stride=2, figure=f"{UNET}, 64 × 64, 320 to 320, stride 2"),
    Case(2, 32, 640, 640, stride=2),
    Case(2, 16, 1280, 1280, stride=2),
    Case(1, 256, 256, 256, figure="VAE, 256 × 256, 256 to 256"),
    Case(1, 256, 512, 256),
    Case(1, 128, 512, 512),
    Case(1, 256, 128, 128),
    Case(1, 512, 128, 3),
    Case(16, 16, 64, 64, figure="digits UNet, batch 16, 16 × 16, 64 to 64"),
    Case(16, 16, 128, 64),
    Case(16, 16, 64, 1),
    Case(16, 16, 1, 64),
    Case(16, 8, 64, 64),
    Case(16, 8, 128, 64),
    Case(16, 4, 96, 96),
    Case(16, 4, 192, 96),
    Case(16, 16, 64, 64, stride=2),
    Case(16, 8, 64, 64, stride=2),
    Case(2, 16, 64, 64),
    Case(2, 16, 128, 128),
    Case(2, 8, 128, 128),
    Case(2, 8, 256, 256),
    Case(2, 4, 256, 256),
    Case(2, 4, 512, 256),
    Case(2, 2, 256, 256),
)
TINY = (Case(1, 8, 8, 8, figure="8 × 8, 8 to 8"), Case(1, 8, 8, 8, stride=2))


def main() -> int:
    """Every case by turns, and the table of the fastest form where it is asked for."""
    if (status := elsewhere(__file__)) is not None:
        return status
    more = [
        ("--repeats", {"type": int, "default": 5}),
        THREADS,
        ("--tune", {"action": "store_true", "help": "write tuned.json"}),
    ]
    bench, options = Benchmark.from_command(__file__, "Convolutions on a CPU", more=more)
    peer = find_spec("torch") is not None
    if not peer:
        print(NO_TORCH)
    points, watch = [], Watch(bench)
    for case in TINY if bench.tiny else CASES:
        watch()
        seconds = measure(bench, case, 2 if bench.tiny else options.repeats, peer)
        points.append(point(case, seconds))
    invalid = watch.finish()
    if options.tune and not (bench.tiny or invalid):
        write(TUNED, __file__, points)
    return invalid


def measure(bench: Benchmark, case: Case, repeats: int, peer: bool) -> dict[str, float]:
    """Seconds of processor time in each form, the least of the repeats."""
    import jax.numpy as jnp
    import numpy as np

    from kernels_pallas.conv2d.window import window
    from workbench.measure.timing import interleaved

    rng = np.random.default_rng(0)
    x = rng.standard_normal((case.batch, case.pixels, case.pixels, case.inputs), dtype=np.float32)
    shape = (case.taps, case.taps, case.inputs, case.outputs)
    fan_in = case.taps**2 * case.inputs
    kernel = rng.standard_normal(shape, dtype=np.float32) / np.float32(fan_in**0.5)
    given = jnp.asarray(x), jnp.asarray(kernel)
    place = window(x.shape[1:3], shape[:2], case.stride, case.taps // 2)
    forms = ours(case, given, place)
    thunks = {**forms, **(theirs(case, x, kernel) if peer else {})}
    expected = np.asarray(forms["xla"]())
    for name, thunk in forms.items():
        error = float(np.abs(np.asarray(thunk()) - expected).max())
        if not error < LARGEST_ERROR:
            raise AssertionError(f"{case}: {name} is {error} away from XLA's convolution")
    timed = interleaved(thunks, repeats=repeats)
    words = " ".join(map(str, case[:6]))
    bench.add_timings({f"{words}: {name}": timing for name, timing in timed.items()})
    seconds = {name: min(timing.cpu_samples) for name, timing in timed.items()}
    print(words, *(f"{name} {1e3 * value:.2f}" for name, value in seconds.items()), sep="; ")
    if case.figure:
        add_figures(bench, case, timed, peer)
    return {name: seconds[name] for name in forms}


def ours(case: Case, given: Any, place: Any) -> dict[str, Callable[[], Any]]:
    """The op in each of its forms for this shape."""
    import jax

    from kernels_pallas import conv2d, winograd_weights

    minimal = case.taps == 3 and case.stride == 1
    names = ["xla", "im2col", *(["winograd"] if minimal else [])]

    def form(name: str) -> Callable[[], Any]:
        options = {"strides": case.stride, "padding": case.taps // 2, "implementation": name}
        compiled = jax.jit(functools.partial(conv2d, **options))
        return lambda: jax.block_until_ready(compiled(*given))

    found = {name: form(name) for name in names}
    if minimal:
        weights = jax.jit(winograd_weights)(given[1])
        compiled = jax.jit(functools.partial(conv2d, padding=1))
        found[WEIGHTS] = lambda: jax.block_until_ready(compiled(given[0], weights))
    return found


def theirs(case: Case, x: Any, kernel: Any) -> dict[str, Callable[[], Any]]:
    """torch's convolution, with both orders of axes in memory."""
    import numpy as np
    import torch

    from workbench.measure.device import threads_available

    torch.set_num_threads(threads_available())
    pixels = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    weights = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))

    def form(kind: Any) -> Callable[[], Any]:
        arrays = [array.to(memory_format=kind) for array in (pixels, weights)]
        convolve = functools.partial(torch.conv2d, padding=case.taps // 2, stride=case.stride)

        def run() -> Any:
            with torch.inference_mode():
                return convolve(*arrays)

        return run

    return {
        name: form(kind)
        for name, kind in zip(PEERS, (torch.contiguous_format, torch.channels_last), strict=True)
    }


def add_figures(bench: Benchmark, case: Case, timed: dict[str, Any], peer: bool) -> None:
    """The chosen form, and its time over the peer's."""
    from kernels_pallas.conv2d.choice import fastest
    from kernels_pallas.conv2d.window import window

    place = window((case.pixels, case.pixels), (case.taps, case.taps), case.stride, case.taps // 2)
    form = fastest(
        (case.batch, case.pixels, case.pixels, case.inputs),
        (case.taps, case.taps, case.inputs, case.outputs),
        place,
    )
    low, high = (1e3 * q for q in timed[form].quartiles)
    bench.add(Figure(f"{case.figure}: {form}", 1e3 * timed[form].median, "ms", low, high))
    if peer:
        best = min(PEERS, key=lambda name: timed[name].median)
        bench.add(
            ratio(f"{case.figure}: {form} over {best}", timed[form].samples, timed[best].samples)
        )
    if WEIGHTS in timed and peer:
        bench.add(
            ratio(
                f"{case.figure}: {WEIGHTS}, over {best}",
                timed[WEIGHTS].samples,
                timed[best].samples,
            )
        )


def point(case: Case, seconds: dict[str, float]) -> dict[str, Any]:
    """A shape with what was measured, as `tuned.json` holds it."""
    return {
        "taps": case.taps,
        "stride": case.stride,
        "rows": case.batch * (case.pixels // case.stride) ** 2,
        "inputs": case.inputs,
        "outputs": case.outputs,
        "seconds": {
            name: float(f"{value:.3g}") for name, value in seconds.items() if name != WEIGHTS
        },
        "transformed": float(f"{seconds[WEIGHTS]:.3g}") if WEIGHTS in seconds else None,
    }


if __name__ == "__main__":
    sys.exit(main())
