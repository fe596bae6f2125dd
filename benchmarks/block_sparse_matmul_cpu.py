"""Products with kept blocks on this CPU, beside the product with the whole matrix.

The peer, in the same run and by turns: `x @ w` of the dense matrix as jax has it. Patterns are
random, of one density in the whole matrix. Times are of the processor: on one thread, those of a
clock on a quiet machine. The density at which both take as long is read off the ratios between the
two nearest densities, on logarithmic axes.

python benchmarks/block_sparse_matmul_cpu.py [--tiny] [--repeats N] [--threads one] [--tune]

`--tune` writes the measured times to `kernels_pallas/block_sparse_matmul/tuned.json` under this
processor's class; the op chooses its form from them. It goes with `--threads one`.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rates import Watch
from record import ROOT, THREADS, Benchmark, Figure, ratio
from tuned import write

TUNED = ROOT / "kernels_pallas" / "block_sparse_matmul" / "tuned.json"
LARGEST_ERROR = 1e-4
FORMS = ("xla", "dense")
DENSITIES = (0.75, 0.5, 0.33, 0.17, 0.08)
SPARSE = 0.17
TIMES_FASTER = 2
"""At least, than the dense product, with blocks of 64 from a density of `SPARSE` down."""


class Case(NamedTuple):
    """A pointwise convolution as a product."""

    model: str
    batch: int
    pixels: int
    inputs: int
    outputs: int
    block: int = 64

    @property
    def rows(self) -> int:
        """Pixels of the batch."""
        return self.batch * self.pixels**2

    @property
    def words(self) -> str:
        """The case in a line."""
        return f"{self.model}: {self.rows} × {self.inputs} × {self.outputs}, blocks of {self.block}"


V1, NEXT, NET = "MobileNet V1", "ConvNeXt-T", "1024 channels at 14 × 14"
CASES = (
    Case(V1, 1, 14, 512, 512),
    Case(V1, 8, 14, 512, 512),
    Case(V1, 1, 7, 1024, 1024),
    Case(V1, 8, 7, 1024, 1024),
    Case(NEXT, 1, 28, 192, 768),
    Case(NEXT, 1, 14, 384, 1536),
    Case(NEXT, 8, 14, 1536, 384),
    Case(NET, 1, 14, 1024, 1024),
    Case(NET, 8, 14, 1024, 1024),
    Case(V1, 8, 14, 512, 512, block=32),
    Case(V1, 8, 14, 512, 512, block=128),
)
TINY = (Case("tiny", 1, 4, 48, 32, block=16),)


def main() -> int:
    """Every case by turns, and the table of the forms where it is asked for."""
    more = [
        ("--repeats", {"type": int, "default": 9}),
        THREADS,
        ("--tune", {"action": "store_true", "help": "write tuned.json"}),
    ]
    bench, options = Benchmark.from_command(
        __file__, "Products with kept blocks on a CPU", more=more
    )
    points: list[dict[str, Any]] = []
    watch = Watch(bench)
    for case in TINY if bench.tiny else CASES:
        watch()
        points += [*measured(bench, case, 2 if bench.tiny else options.repeats)]
    invalid = watch.finish()
    if options.tune and not (bench.tiny or invalid):
        write(TUNED, __file__, points)
    return invalid


def measured(bench: Benchmark, case: Case, repeats: int) -> Sequence[dict[str, Any]]:
    """Every density of a case; adds its figures and returns its points of `tuned.json`."""
    from workbench.vision.pruning.density_timed import break_even

    speeds, points = {}, []
    for density in (0.5, 0.25) if bench.tiny else DENSITIES:
        title = f"{case.words}, {100 * density:.0f} % kept"
        timed, share = times(case, density, repeats)
        bench.add_timings({f"{title}: {name}": timing for name, timing in timed.items()})
        seconds = {form: min(timed[form].cpu_samples) for form in FORMS}
        bound = TIMES_FASTER if density <= SPARSE and case.block == 64 and not bench.tiny else None
        figure = ratio(
            f"{title}: the dense product over the kept blocks",
            timed["x @ w"].cpu_samples,
            timed["xla"].cpu_samples,
            **({"at_least": bound} if bound else {}),
        )
        bench.add(figure)
        print(
            title,
            *(f"{name} {1e3 * one.cpu_median:.3f} ms" for name, one in timed.items()),
            sep="; ",
        )
        speeds[share] = figure.value
        points.append(
            {
                "rows": case.rows,
                "inputs": case.inputs,
                "outputs": case.outputs,
                "block": case.block,
                "density": round(share, 3),
                "seconds": {form: float(f"{value:.3g}") for form, value in seconds.items()},
            }
        )
    share = break_even(speeds.items())
    if share is not None:
        bench.add(Figure(f"{case.words}: density at which both take as long", share, ""))
    return points


def times(case: Case, density: float, repeats: int) -> tuple[dict[str, Any], float]:
    """Timings of the peer and of every form, whose results agree; and the share that is kept."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from kernels_pallas import block_sparse_matmul, pack_blocks
    from kernels_pallas.block_sparse_matmul import unpack_blocks
    from workbench.measure.timing import interleaved

    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((case.rows, case.inputs), np.float32))
    w = rng.standard_normal((case.inputs, case.outputs), np.float32) / math.sqrt(case.inputs)
    grid = -(-case.inputs // case.block), -(-case.outputs // case.block)
    total = grid[0] * grid[1]
    keep = rng.permutation(total).reshape(grid) < round(density * total)
    blocks, pattern = pack_blocks(jnp.asarray(w), case.block, keep=keep)
    whole = unpack_blocks(blocks, pattern)
    calls: dict[str, Callable[..., Any]] = {"x @ w": jax.jit(jnp.matmul)}
    for form in FORMS:
        op = functools.partial(block_sparse_matmul, pattern=pattern, implementation=form)
        calls[form] = jax.jit(op)
    given = {name: (x, whole if name == "x @ w" else blocks) for name in calls}
    thunks = {name: functools.partial(finished, call, *given[name]) for name, call in calls.items()}
    expected = np.asarray(thunks["x @ w"]())
    for name, thunk in thunks.items():
        error = float(np.abs(np.asarray(thunk()) - expected).max())
        if not error < LARGEST_ERROR:
            raise AssertionError(f"{case.words}: {name} is {error} away from the dense product")
    return interleaved(thunks, repeats=repeats), pattern.density


def finished(call: Callable[..., Any], *arrays: Any) -> Any:
    """Calls and waits."""
    import jax

    return jax.block_until_ready(call(*arrays))


if __name__ == "__main__":
    sys.exit(main())
