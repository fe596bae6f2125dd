"""A ConvFirst block as one kernel on a Hopper GPU, beside its layers one after the other.

The early stages of the ConvFirst network at 224 pixels, where pixels are many and channels few, in
bfloat16. Both forms run by turns, on arrays past the cache, many calls in one dispatch; the layers
are XLA's, with whatever it fuses. What both compute must agree. Rates of the roofline are measured
in the same run.

python benchmarks/fused_block_gpu.py [--tiny] [--repeats N] [--batch B ...]

Without a Hopper GPU it says so and writes nothing; `--tiny` runs its short form on any device, with
the definition in the kernel's place where it is another.
"""

from __future__ import annotations

import functools
import math
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from device_time import AT_ONCE, apart, chained, on_host, rotated, rounds_for
from kernels_gpu import LARGEST_ERROR, measured_peaks
from record import Benchmark, Figure

if TYPE_CHECKING:
    from kernels_pallas.costs import Cost
    from workbench.measure.roofline import Peaks

NO_GPU = "jax finds no Hopper GPU here: nothing is measured"
KERNEL, LAYERS = "one kernel", "layer by layer"
EARLY = ((56, 64), (28, 128))
"""Pixels a side and channels of the stages the goal is for."""
BATCHES = (32, 64, 128)
WIDTH, EXPANSION = 8, 4
GOAL = 1.5
"""Times as fast as layer by layer, in the early stages."""


class Case(NamedTuple):
    """A block at stride 1 that keeps its channels.

    Args:
        batch, pixels, channels: B, H = W and C of the pictures.
        form: of the kernel, or what stands in for it.
    """

    batch: int
    pixels: int
    channels: int
    form: str = "mosaic_gpu"

    @property
    def words(self) -> str:
        """For the table."""
        size = f"{self.batch}×{self.pixels}×{self.pixels}×{self.channels}"
        return f"ConvFirst block, groups of {WIDTH}, {size}"

    def arrays(self, seed: int) -> list[Any]:
        """Weights, then pictures, random: sums of the size of what they are added to."""
        import jax
        import jax.numpy as jnp

        hidden = EXPANSION * self.channels
        shapes = [
            (3, 3, WIDTH, self.channels), (self.channels,), (self.channels, hidden), (hidden,),
            (hidden, self.channels), (self.channels,),
            (self.batch, self.pixels, self.pixels, self.channels),
        ]  # fmt: skip
        keys = jax.random.split(jax.random.key(seed), len(shapes))
        made = [
            jax.random.normal(key, shape, jnp.bfloat16) / math.sqrt(math.prod(shape[:-1]))
            if len(shape) > 1
            else jax.random.normal(key, shape, jnp.bfloat16) / 2
            for key, shape in zip(keys[:-1], shapes[:-1], strict=True)
        ]
        return [*made, jax.random.normal(keys[-1], shapes[-1], jnp.bfloat16)]

    def run(self, form: str, *arrays: Any) -> Any:
        """The block in a form."""
        from kernels_pallas import BlockWeights, convfirst_block

        *weights, x = arrays
        return convfirst_block(
            x,
            BlockWeights(*weights),
            groups=self.channels // WIDTH,
            implementation=self.form if form == KERNEL else "xla",
        )

    def cost(self) -> Cost:
        """Of the block as one op."""
        from kernels_pallas.conv2d.window import window
        from kernels_pallas.convfirst_block.cost import cost

        size = (self.pixels, self.pixels)
        return cost(
            (self.batch, *size, self.channels),
            (3, 3, WIDTH, self.channels),
            EXPANSION * self.channels,
            self.channels,
            window=window(size, (3, 3), 1, "SAME"),
            itemsize=2,
        )


def main() -> int:
    """Peaks, then every case."""
    more = [
        ("--repeats", {"type": int, "default": 15}),
        ("--batch", {"type": int, "nargs": "+", "default": list(BATCHES)}),
    ]
    title = "A residual block as one kernel on a Hopper GPU"
    bench, options = Benchmark.from_command(__file__, title, more=more)
    from kernels_pallas import dispatch

    here = dispatch.current_target().pallas(wgmma=True) == "mosaic_gpu"
    if not here and not bench.tiny:
        print(NO_GPU)
        return 0
    cases = [Case(batch, *stage) for stage in EARLY for batch in options.batch]
    if bench.tiny:
        cases = [Case(1, 8, 32, "mosaic_gpu" if here else "reference")]
    peaks = measured_peaks(bench.tiny)
    bench.raw["peaks"] = {"flops_per_s": dict(peaks.flops_per_s), "bytes_per_s": peaks.bytes_per_s}
    for case in cases:
        measure(bench, case, peaks, 2 if bench.tiny else options.repeats)
        bench.write()
    bench.finish()
    return 0


def measure(bench: Benchmark, case: Case, peaks: Peaks, repeats: int) -> None:
    """Times both forms by turns, and holds the kernel against the layers and the roofline."""
    import numpy as np

    from workbench.measure import cost, roofline
    from workbench.measure.timing import interleaved

    work = case.cost()
    bound = roofline.roofline(
        cost.Cost(macs=work.macs, bytes_moved=work.bytes_moved), peaks, "bfloat16"
    )
    sets = rotated(case.arrays, shared=6)[: 1 if bench.tiny else None]
    rounds = 1 if bench.tiny else rounds_for(bound.seconds, len(sets))
    forms = {name: functools.partial(case.run, name) for name in (KERNEL, LAYERS)}
    thunks = {name: chained(form, sets, rounds) for name, form in forms.items()}
    error = apart(*(on_host(thunk()) for thunk in thunks.values()))
    timed = interleaved(thunks, repeats=repeats, min_time=0 if bench.tiny else 4 * AT_ONCE)
    bench.add_timings({f"{case.words}: {name}": timing for name, timing in timed.items()})
    bench.raw[case.words] = {
        "sets": len(sets), "rounds": rounds, "macs": work.macs, "bytes": work.bytes_moved,
        "bound": bound.bound, "floor": bound.seconds, "largest difference": error,
    }  # fmt: skip
    each = {n: np.asarray(t.samples) / (len(sets) * rounds) for n, t in timed.items()}
    quartiles = (0.25, 0.5, 0.75)
    for name, seconds in each.items():
        low, middle, high = (1e6 * float(q) for q in np.quantile(seconds, quartiles))
        bench.add(Figure(f"{case.words}: {name}", middle, "µs", low, high))
    low, middle, high = (float(q) for q in np.quantile(each[LAYERS] / each[KERNEL], quartiles))
    goal = None if bench.tiny else GOAL
    title = f"{case.words}: {KERNEL}, times as fast as {LAYERS}"
    bench.add(Figure(title, middle, "×", low, high, at_least=goal))
    share = bound.seconds / float(np.median(each[KERNEL]))
    bench.add(Figure(f"{case.words}: {KERNEL}, share of the roofline", share, ""))
    title = f"{case.words}: largest difference between both"
    bench.add(Figure(title, error, "", at_most=LARGEST_ERROR))


if __name__ == "__main__":
    sys.exit(main())
