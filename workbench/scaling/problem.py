"""One law on one table, ready for the solver: padded columns, weights, starts, resamples."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.progress import Report
from workbench.scaling.laws.law import Law
from workbench.scaling.settings import Settings
from workbench.scaling.solver import BATCH, in_float64, solve
from workbench.scaling.starts import spread
from workbench.scaling.vanished import THERE, largest_shares, put_back, vanished

SEARCH, POLISH, KEPT = 60, 240, 8
"""Steps of every start, then of the best few."""

AGAIN = 48
"""Steps of a resample, from where the fit ended: of Chinchilla's A on 45 to 240 runs, 99 in 100
resamples then stand within a fiftieth of their standard deviation of where 1500 steps end."""

BACK = 2
"""Starts of the first fit, the best with a term that vanished in the end, for each resample."""

ROWS = 64
"""Tables are filled up to this times a power of two, so that a filter compiles nothing anew."""


class Problem:
    """A law's fit to a table, before it is solved.

    Args:
        law: which.
        runs: rows that have been checked.
        settings: objective, starts, resamples.
    """

    def __init__(self, law: Law, runs: pd.DataFrame, settings: Settings) -> None:
        self.law, self.runs, self.settings = law, runs, settings
        self.rows = padded_rows(len(runs))
        self.columns = law_columns(law, runs, self.rows)
        weights = runs["weight"].to_numpy(float) if "weight" in runs.columns else np.ones(len(runs))
        self.weights = np.zeros(self.rows)
        self.weights[: len(runs)] = weights

    @in_float64
    def solved(self, near: Mapping[str, float] | None = None) -> tuple[dict[str, float], float]:
        """Parameters of the least objective found, and that objective.

        Args:
            near: parameters to start from, in place of the last of the box.
        """
        points, values = self._searched(near)
        best = points[np.argsort(values)[:KEPT]]
        points, values = self._solve(best, self.weights[None], POLISH)
        found = self.law.values(points[int(np.argmin(values))])
        reached = float(values.min()) / self.settings.unit
        return {name: float(value) for name, value in found.items()}, reached

    @in_float64
    def resampled(self, best: Mapping[str, float], report: Report) -> NDArray[np.float64]:
        """`[B, P]` parameters of each resample, in the order of the law's.

        Where the fit has a term that vanished, no step leads back to it: each resample then starts
        from a few points that have the term, too, and keeps the best. That takes about 20 times as
        long as from the fit alone.

        Args:
            best: where each starts.
            report: progress and cancel.
        """
        from workbench.scaling.resampling import resamples

        count = self.settings.bootstrap
        start = np.asarray(self.law.coordinates(best))
        residual = np.asarray(self.law.residuals(best, self.columns))[: len(self.runs)]
        weights, shifts = resamples(self.runs, residual, self.weights, self.settings)
        others = self._others(start)
        cores = os.cpu_count() or 1
        size = BATCH * cores
        found: list[NDArray[np.float64]] = []
        with ThreadPoolExecutor(cores) as pool:
            for begin in range(0, count, size):
                report(begin, count, "resampling")
                parts = [
                    (weights[at : at + BATCH], shifts[at : at + BATCH])
                    for at in range(begin, min(begin + size, count), BATCH)
                ]
                found += pool.map(lambda part: self._again(start, others, *part), parts)
        points = np.concatenate(found)
        named = self.law.values(points.T)
        return np.stack([np.asarray(named[name]) for name in self.law.names], axis=1)

    def _searched(
        self, near: Mapping[str, float] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where each start stands after the search, before the best are polished."""
        starts = spread(self.law, self.settings.starts, self.settings.seed)
        if near is not None:
            starts[-1] = np.asarray(self.law.coordinates(near))
        starts = starts[np.arange(_whole(len(starts), BATCH)) % len(starts)]
        return self._solve(starts, self.weights[None], SEARCH)

    def _others(self, start: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Where resamples start beside the fit: nowhere, unless a term of it has vanished."""
        gone = vanished(self.law, self._shares(start))
        if not gone.any():
            return []
        points, values = self._searched()
        kept = put_back(self.law, start, gone)
        for at in np.argsort(values):
            if len(kept) == BACK + 2:
                break
            if (self._shares(points[at])[gone] > THERE).any():
                kept.append(points[at])
        return kept

    def _shares(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        return largest_shares(self.law, point, self.columns, self.weights)

    @in_float64
    def _again(
        self,
        start: NDArray[np.float64],
        others: Sequence[NDArray[np.float64]],
        weights: NDArray[np.float64],
        shifts: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        count = len(weights)
        fill = np.arange(BATCH) % count
        shape, chosen = (BATCH, len(start)), drawn(weights[fill])

        def solved(begin: NDArray[np.float64], steps: int) -> Any:
            begins = np.broadcast_to(begin, shape)
            return self._solve(begins, weights[fill], steps, shifts[fill], chosen)

        points, values = solved(start, AGAIN)
        for other in others:
            tried, reached = solved(other, POLISH)
            better = reached < values
            points = np.where(better[:, None], tried, points)
            values = np.where(better, reached, values)
        return points[:count]

    def _solve(
        self,
        starts: NDArray[np.float64],
        weights: NDArray[np.float64],
        steps: int,
        shifts: NDArray[np.float64] | None = None,
        chosen: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shape = (len(starts), self.rows)
        weights = np.broadcast_to(weights, shape)
        shifts = np.zeros(shape) if shifts is None else shifts
        if chosen is not None:
            weights, shifts = (np.take_along_axis(one, chosen, 1) for one in (weights, shifts))
        found = solve(
            self.law,
            jnp.asarray(starts),
            self.columns,
            jnp.asarray(weights),
            jnp.asarray(shifts),
            jnp.asarray(self.settings.threshold),
            steps=steps,
            chosen=None if chosen is None else jnp.asarray(chosen),
        )
        return np.asarray(found.coordinates), np.asarray(found.objective)


def drawn(weights: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """`[B, 3 R / 4]` places of the `[B, R]` weights, those above 0 first; None where more are.

    A case resample leaves out 37 of 100 runs, which need not be looked at again.
    """
    kept = 3 * weights.shape[1] // 4
    if (np.count_nonzero(weights, axis=1) > kept).any():
        return None
    return np.argsort(weights == 0, axis=1, kind="stable")[:, :kept]


def padded_rows(count: int) -> int:
    """The rows that `count` are filled up to."""
    rows = ROWS
    while rows < count:
        rows *= 2
    return rows


@in_float64
def law_columns(law: Law, runs: pd.DataFrame, rows: int | None = None) -> dict[str, Any]:
    """What a law reads of a table, float64; filled up to `rows` with ones.

    Args:
        law: which.
        runs: a table with the law's columns; its target may be missing, where it is predicted.
        rows: how many; as many as the table has where left out.
    """
    rows = len(runs) if rows is None else rows
    found = {}
    for name in (*law.columns, law.target):
        if name in runs.columns:
            values = np.ones(rows)
            values[: len(runs)] = law.numbers(name, runs[name])
            found[name] = jnp.asarray(values)
    return found


def _whole(count: int, of: int) -> int:
    return -(-count // of) * of
