"""How often a 95 % interval of the allocation exponent holds the truth, over sets that are known.

Each set has 45 runs on Chinchilla's surface (9 sizes at 5 budgets) with half a percent of noise,
fitted with resamples; the exponent is a = beta / (alpha + beta). The share should be near 95 %: far
below, the intervals promise too much; at 100 % they are wider than they need be.

python benchmarks/interval_coverage.py [--tiny] [--sets N]
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from record import Benchmark, Figure

if TYPE_CHECKING:
    import pandas as pd

TRUTH = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
NOISE, RESAMPLES = 0.005, 400


def main() -> int:
    """Every set, and the share of intervals that hold the exponent."""
    more = [("--sets", {"type": int, "default": 200}), ("--resampling", {"default": "case"})]
    bench, options = Benchmark.from_command(__file__, "Coverage of intervals", more=more)
    sets = 3 if bench.tiny else options.sets
    true = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
    held, widths = [], []
    for seed in range(sets):
        low, high = interval(runs(seed), options.resampling, 40 if bench.tiny else RESAMPLES)
        held.append(low <= true <= high)
        widths.append(high - low)
    share = sum(held) / sets
    bench.add(
        Figure(
            f"{sets} sets, {options.resampling} resamples: intervals that hold the exponent",
            100 * share,
            "%",
            at_least=90,
            at_most=99,
        ),
        Figure("their median width", float(np.median(widths)), ""),
    )
    bench.raw |= {"held": [bool(one) for one in held], "widths": widths}
    bench.finish()
    return 0 if bench.tiny or 0.90 <= share <= 0.99 else 1


def interval(table: pd.DataFrame, resampling: str, resamples: int) -> tuple[float, float]:
    """95 % of the exponent's resamples."""
    from workbench.scaling import Chinchilla, fit

    found = fit(Chinchilla(), table, bootstrap=resamples, resampling=resampling)
    assert found.drawn is not None
    exponent = found.drawn["beta"] / (found.drawn["alpha"] + found.drawn["beta"])
    low, high = np.percentile(exponent, [2.5, 97.5])
    return float(low), float(high)


def runs(seed: int) -> pd.DataFrame:
    """A set, with a noise of its own."""
    import pandas as pd

    draw = np.random.default_rng(seed)
    size, budget = np.meshgrid(np.geomspace(4e7, 1.6e10, 9), np.geomspace(1e18, 1e22, 5))
    table = pd.DataFrame({"n_params": size.ravel(), "n_tokens": (budget / (6 * size)).ravel()})
    exact = TRUTH["E"] + TRUTH["A"] * table["n_params"] ** -TRUTH["alpha"]
    exact = exact + TRUTH["B"] * table["n_tokens"] ** -TRUTH["beta"]
    return table.assign(loss=exact * np.exp(NOISE * draw.standard_normal(len(table))))


if __name__ == "__main__":
    sys.exit(main())
