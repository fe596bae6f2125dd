"""Do sampling plans save the time their arithmetic promises?

Full sampling, encoder propagation and feature inheritance under one driver, by turns, on the
shipped model's shape and on a larger one. Weights are random: no plan's time depends on them.

python benchmarks/plan_speedup.py [--tiny] [--repeats N] [--only digits|small]
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from record import Benchmark, Figure

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Inputs, Pipeline
    from workbench.measure.roofline import Peaks

STEPS, GUIDANCE, TARGET = 50, 2.0, 0.85
FULL, AGAIN = "full sampling", "full sampling again"
TINY_STEPS = 6


@dataclass(frozen=True)
class Case:
    """A UNet shape: name, the words for it, pictures at once, and repeats of the timing."""

    name: str
    words: str
    batch: int
    repeats: int


DIGITS = Case("digits", "shipped UNet, 16 × 16, batch 8", 8, 11)
SMALL = Case("small", "UNet of 34 M parameters, 16 × 16, batch 1", 1, 5)
TINY = Case("tiny", "tiny UNet, 8 × 8, batch 1", 1, 3)


def main() -> None:
    """Both shapes."""
    more = [("--repeats", {"type": int}), ("--only", {"choices": ("digits", "small")})]
    bench, options = Benchmark.from_command(
        __file__, "Time saved by sampling plans beside the arithmetic they save", more=more
    )
    cases = [TINY] if bench.tiny else [c for c in (DIGITS, SMALL) if options.only in (None, c.name)]
    peaks = machine_peaks(bench.tiny)
    bench.raw["peaks"] = {"flops_per_s": dict(peaks.flops_per_s), "bytes_per_s": peaks.bytes_per_s}
    for case in cases:
        measure(bench, case, options.repeats or case.repeats, peaks)
    bench.finish()


def measure(bench: Benchmark, case: Case, repeats: int, peaks: Peaks) -> None:
    """Times every plan of one shape by turns and adds what came of it."""
    import numpy as np

    from workbench.diffusion.driver import sample
    from workbench.diffusion.plan import Plan
    from workbench.measure.timing import interleaved, relative_noise

    base = pipeline(case)
    inputs = base.inputs(tuple(range(case.batch)))
    subjects = {
        FULL: base,
        **{name: base.with_plan(plan) for name, plan in plans(base).items()},
        AGAIN: base.with_plan(Plan.full(base.steps)),
    }
    thunks = {name: run(sample, subject, inputs) for name, subject in subjects.items()}
    timed = interleaved(thunks, repeats=repeats)
    bench.add_timings({f"{case.name}: {name}": timing for name, timing in timed.items()})
    noise = relative_noise(timed[FULL].samples, timed[AGAIN].samples)

    rows, floors = {}, {name: floor(subject, case, peaks) for name, subject in subjects.items()}
    for name in subjects:
        promised = floors[FULL]["macs"] / floors[name]["macs"]
        ratios = [a / b for a, b in zip(timed[FULL].samples, timed[name].samples, strict=True)]
        low, middle, high = (float(q) for q in np.quantile(ratios, (0.25, 0.5, 0.75)))
        cpu = timed[FULL].cpu_median / timed[name].cpu_median
        rows[name] = {
            "promised": promised, "measured": middle, "low": low, "high": high,
            "share": middle / promised, "seconds": timed[name].median,
            "processor_speedup": cpu, "processor_share": cpu / promised, **floors[name],
            "gap": timed[name].median / floors[name]["floor"],
        }  # fmt: skip
    pictures = {name: np.asarray(thunk()["image"]) for name, thunk in thunks.items()}
    groups = [pictures[name] for name in pictures if name.startswith("encoder propagation")]
    apart = max(float(np.abs(found - groups[0]).max()) for found in groups)
    bench.raw[case.name] = {
        "parameters": sum(int(array.size) for array in base.weights), "batch": case.batch,
        "steps": base.steps, "guidance": base.guidance, "noise_floor": noise, "plans": rows,
        "largest difference between group sizes": apart,
    }  # fmt: skip
    bench.add(*figures(case, rows, noise, base.steps))


def run(sample: Any, subject: Pipeline, inputs: Inputs) -> Any:
    """A run of one plan as a function of no arguments."""
    return lambda: sample(subject, inputs)


def figures(case: Case, rows: dict[str, Any], noise: float, steps: int) -> list[Figure]:
    """What the README shows: the two published settings against the goal, and all plans."""
    default = default_group()
    propagation = f"encoder propagation, groups of {default}"
    inheritance = "DeepCache, interval 5, branch 0"
    found = [
        Figure(f"{case.words}: full sampling, a step", 1e3 * rows[FULL]["seconds"] / steps, "ms"),
        Figure(f"{case.words}: time over the floor of its products", rows[FULL]["gap"], "×"),
        Figure(f"{case.words}: noise of a time ratio (A/A)", 100 * noise, "%"),
    ]
    for name, row in rows.items():
        if name not in (FULL, AGAIN):
            found.append(Figure(
                f"{case.words}: {name}, speed-up", row["measured"], "×", row["low"], row["high"],
                published=f"MACs promise {row['promised']:.3f} ×",
            ))  # fmt: skip
    for name in (propagation, inheritance):
        row = rows[name]
        low, high = row["low"] / row["promised"], row["high"] / row["promised"]
        title = f"{case.words}: {name}, share of the promised speed-up"
        found.append(Figure(title, row["share"], "", low, high, at_least=TARGET))
        found.append(Figure(f"{title}, processor time", row["processor_share"], ""))
    return found


def default_group() -> int:
    """The lab's own group size."""
    from workbench.diffusion.encoder_propagation import EncoderPropagation

    return int(EncoderPropagation.Knobs().largest_group)


def plans(base: Pipeline) -> dict[str, Any]:
    """The plans compared, by their names in the record."""
    from workbench.diffusion import step_lists
    from workbench.diffusion.plan import Plan

    steps, keys = base.steps, step_lists.published("paper", base.steps)
    tiny = steps != STEPS
    groups = sorted({default_group(), *(() if tiny else (1, 2, 4, 8, 16))})
    inherited = [(5, 0)] if tiny else [(2, 0), (3, 0), (5, 0), (10, 0), (5, 1), (5, 2)]
    found = {
        f"encoder propagation, groups of {size}": Plan.from_full_steps(
            keys, steps, "decode", largest_group=size
        )
        for size in groups
    }
    for interval, branch in inherited:
        full = step_lists.uniform(steps, interval)
        name = f"DeepCache, interval {interval}, branch {branch}"
        found[name] = Plan.from_full_steps(full, steps, "shallow", branch=branch)
    return found


def floor(subject: Pipeline, case: Case, peaks: Peaks) -> dict[str, float]:
    """Least time the machine's measured peaks allow: products at the rate of a large product,
    and each array read or written once a step."""
    from workbench.diffusion.costs import plan_cost, unit_costs

    macs = plan_cost(subject).macs * case.batch
    weights = sum(array.nbytes for array in subject.weights)
    kept = unit_costs(subject.shape).kept_bytes(subject.plan) * subject.passes * case.batch
    moved = subject.steps * (weights + kept)
    compute = 2 * macs / peaks.flops("float32")
    return {
        "macs": macs, "bytes": moved, "compute_floor": compute,
        "seconds_of_bytes": moved / peaks.bytes_per_s,
        "floor": max(compute, moved / peaks.bytes_per_s),
    }  # fmt: skip


def machine_peaks(tiny: bool) -> Peaks:
    """A product of 2048³ and a copy of 256 MiB, measured now."""
    from workbench.measure import roofline

    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "peaks.json"
        if tiny:
            return roofline.measured(gemm_size=256, copy_bytes=1 << 20, repeats=2, store=store)
        return roofline.measured(repeats=9, store=store)


def pipeline(case: Case) -> Pipeline:
    """A pipeline of a case's shape with random weights."""
    import jax

    from workbench.diffusion.conditioning import ClassTokens
    from workbench.diffusion.digits import recipe
    from workbench.diffusion.pipeline import Pipeline, flat_weights
    from workbench.diffusion.plan import Plan
    from workbench.diffusion.unet import UNetConfig, new_unet

    tokens = recipe.TOKENS
    if case is DIGITS:
        config = recipe.UNET
    elif case is SMALL:
        tokens = 77
        config = UNetConfig(
            sample_size=16, block_out_channels=(64, 128, 256, 256), cross_attention_dim=128
        )
    else:
        config = UNetConfig(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            block_out_channels=(16, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            attention_head_dim=4,
            cross_attention_dim=16,
            norm_num_groups=8,
        )
    width = config.cross_attention_dim
    steps = TINY_STEPS if case is TINY else STEPS
    return Pipeline(
        name=case.name,
        config=config,
        weights=flat_weights(new_unet(config)),
        conditioning=ClassTokens.create(recipe.CLASSES, tokens, width, jax.random.key(0)),
        scheduler=recipe.SCHEDULER,
        weights_hash=f"random {case.name}",
        steps=steps,
        guidance=GUIDANCE,
        plan=Plan.full(steps),
    )


if __name__ == "__main__":
    main()
