"""Fitting Chinchilla's surface to 240 runs: beside the usual grid of starts with scipy.

The peer is what the literature does: L-BFGS-B from each of 4500 starts (alpha and beta in 0 to 2,
e in -1 to 1, a and b in 0 to 25), with finite differences, on the sum of Huber's function of ln L;
and for the bootstrap, one such search a resample from the fit. Both minimise the same objective on
the same table in one process, on one core and with one thread; processor seconds are compared.
It ends with 1 where a full-size figure misses its target.

python benchmarks/scaling_fit.py [--tiny] [--rounds N]
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from record import Benchmark, Figure

if TYPE_CHECKING:
    import pandas as pd

ROWS, DELTA, NOISE = 240, 1e-3, 0.0075
TRUTH = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
RESAMPLES, PEER_RESAMPLES = 1000, 100
EXPONENTS, FLOORS, SCALES = (0, 0.5, 1, 1.5, 2), (-1, -0.5, 0, 0.5, 1), (0, 5, 10, 15, 20, 25)


def main() -> int:
    """The grid, the fit, a filter, and the resamples."""
    more = [("--rounds", {"type": int, "default": 5, "help": "repeats of everything but the grid"})]
    bench, options = Benchmark.from_command(__file__, "Fitting a scaling law", more=more)
    keep_to_one_core()
    table = runs(40 if bench.tiny else ROWS)
    rounds = 1 if bench.tiny else options.rounds
    every = starts()[:: 450 if bench.tiny else 1]
    words = f"{len(table)} runs"
    grid = clocked(lambda: [search(table, start) for start in every])
    best = min(found.fun for found in grid["value"])
    mine = [clocked(lambda: fit(table)) for _ in range(rounds + 1)]
    first, warm = mine[0], mine[1:]
    objective = max(one["value"].objective for one in mine)
    bench.add(
        Figure(f"{words}: scipy, {len(every)} starts, processor time", grid["processor"], "s"),
        spread(f"{words}: fit, warm", [one["wall"] for one in warm], "s"),
        Figure(f"{words}: fit, with compiling", first["wall"], "s"),
        spread(
            f"{words}: scipy's grid over a fit, processor time",
            [grid["processor"] / one["processor"] for one in warm],
            "×",
            at_least=30,
        ),
        Figure(f"{words}: objective over scipy's, less 1", objective / best - 1, "", at_most=1e-9),
    )
    add_filter(bench, words, table, warm[0]["value"], rounds)
    add_resamples(bench, words, table, warm[0]["value"], rounds)
    bench.raw |= {"starts within 1e-6 of scipy's best": share(grid["value"], best), "best": best}
    bench.finish()
    missed = [figure.name for figure in bench.figures if figure.met is False and not bench.tiny]
    return 0 if objective <= best * (1 + 1e-9) and not missed else 1


def keep_to_one_core() -> None:
    """Both sides, with one thread of each library; jax counts cores when it is imported."""
    import scipy.optimize  # noqa: F401  (brings a library of its own, which must be there by now)
    from threadpoolctl import threadpool_limits

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    threadpool_limits(1)


def add_filter(bench: Benchmark, words: str, table: pd.DataFrame, before: Any, rounds: int) -> None:
    """Refits after runs are left out, as a slider does."""
    smaller = [table[table["n_params"] < table["n_params"].quantile(q)] for q in (0.9, 0.8, 0.7)]
    seconds = [
        clocked(lambda few=few: fit(few, near=before.fitted))["wall"]
        for _ in range(rounds)
        for few in smaller
    ]
    bench.add(spread(f"{words}: fit after a filter changed", seconds, "s", at_most=0.5))


def add_resamples(
    bench: Benchmark, words: str, table: pd.DataFrame, found: Any, rounds: int
) -> None:
    """Intervals from a thousand resamples, beside scipy's search for each of some."""
    count = 64 if bench.tiny else RESAMPLES
    theirs = 2 if bench.tiny else PEER_RESAMPLES
    draw = np.random.default_rng(0)
    start = coordinates(found.params)
    picked = [table.iloc[draw.integers(len(table), size=len(table))] for _ in range(theirs)]
    peer = clocked(lambda: [search(one, start) for one in picked])
    fit(table, bootstrap=count)
    mine = [clocked(lambda: fit(table, bootstrap=count, near=found.fitted)) for _ in range(rounds)]
    alone = [clocked(lambda: fit(table, near=found.fitted)) for _ in range(rounds)]
    each = [
        (whole["processor"] - one["processor"]) / count
        for whole, one in zip(mine, alone, strict=True)
    ]
    bench.add(
        spread(
            f"{words}: fit and {count} resamples", [one["wall"] for one in mine], "s", at_most=3
        ),
        Figure(f"{words}: scipy, a resample, processor time", peer["processor"] / theirs, "s"),
        spread(
            f"{words}: scipy's over ours, a resample, processor time",
            [peer["processor"] / theirs / one for one in each],
            "×",
            at_least=30,
        ),
    )


def fit(table: pd.DataFrame, **more: Any) -> Any:
    """The library's."""
    from workbench.scaling import Chinchilla
    from workbench.scaling import fit as fit_law

    return fit_law(Chinchilla(), table, delta=DELTA, **more)


def search(table: pd.DataFrame, start: Any) -> Any:
    """L-BFGS-B with finite differences, as it is used: scipy's own tolerances."""
    from scipy.optimize import minimize

    size, data, loss = (np.log(table[name].to_numpy()) for name in ("n_params", "n_tokens", "loss"))
    return minimize(objective, start, args=(size, data, loss), method="L-BFGS-B")


def objective(point: Any, size: Any, data: Any, loss: Any) -> float:
    """Sum of Huber's function of ln L less the law's."""
    from scipy.special import logsumexp

    a, b, e, alpha, beta = point
    terms = np.stack([a - alpha * size, b - beta * data, np.full_like(size, e)])
    r = np.abs(loss - logsumexp(terms, axis=0))
    return float(np.sum(np.where(r <= DELTA, r**2 / 2, DELTA * (r - DELTA / 2))))


def starts() -> list[tuple[float, ...]]:
    """Those of the literature, 4500."""
    return [
        (a, b, e, alpha, beta)
        for alpha, beta, e, a, b in itertools.product(EXPONENTS, EXPONENTS, FLOORS, SCALES, SCALES)
    ]


def coordinates(params: Any) -> list[float]:
    """a, b, e, alpha, beta of a fit."""
    logs = [float(np.log(params[name])) for name in ("A", "B", "E")]
    return [*logs, params["alpha"], params["beta"]]


def runs(count: int) -> pd.DataFrame:
    """Sizes and tokens as of a published figure's runs, with its replication's law and noise."""
    import pandas as pd

    draw = np.random.default_rng(0)
    size = np.exp(draw.uniform(np.log(4.4e7), np.log(1.6e10), count))
    compute = np.exp(draw.uniform(np.log(6e18), np.log(3e21), count))
    table = pd.DataFrame({"n_params": size, "n_tokens": compute / (6 * size)})
    exact = TRUTH["E"] + TRUTH["A"] * size ** -TRUTH["alpha"]
    exact = exact + TRUTH["B"] * table["n_tokens"] ** -TRUTH["beta"]
    return table.assign(loss=exact * np.exp(NOISE * draw.laplace(size=count) / np.sqrt(2)))


def share(found: list[Any], best: float) -> float:
    """How many searches ended where the best did."""
    return sum(one.fun < best + 1e-6 for one in found) / len(found)


def clocked(thunk: Callable[[], Any]) -> dict[str, Any]:
    """What it gives, its seconds, and its processor's."""
    wall, processor = time.perf_counter(), time.process_time()
    value = thunk()
    return {
        "value": value,
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
    }


def spread(title: str, values: list[float], unit: str, **bounds: float) -> Figure:
    """Median with quartiles."""
    low, middle, high = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    return Figure(title, middle, unit, low, high, **bounds)


if __name__ == "__main__":
    sys.exit(main())
