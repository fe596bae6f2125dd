"""How sure approach 2 is: its parabolas and lines anew on runs drawn again within each budget."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.scaling.flops import FLOPS
from workbench.scaling.parabolas import LEAST, budgets

RESAMPLES = 400

ENOUGH = 0.5
"""Share of the resamples that must give a line before an interval is quoted."""

TINY = 1e-12


def drawn(
    runs: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0, flops: float = FLOPS
) -> pd.DataFrame:
    """Exponents `a` of N* and `b` of D* of each resample; NaN where it gives no line.

    A resample draws each budget's runs with replacement. As in `parabolas.isoflop`, a budget counts
    with at least four sizes, a curve that opens upwards, and a vertex inside what was drawn; a line
    needs two.

    Args:
        runs: as of `isoflop`.
        resamples: how many.
        seed: of the draws.
        flops: of one parameter and one token.
    """
    draw = np.random.default_rng(seed)
    groups = budgets(runs, flops)
    logs = np.log([compute for compute, _ in groups])
    found = {name: np.full((resamples, len(groups)), np.nan) for name in ("n_params", "n_tokens")}
    for place, (_, group) in enumerate(groups):
        counts = draw.multinomial(len(group), np.full(len(group), 1 / len(group)), resamples)
        for name, table in found.items():
            table[:, place] = _vertices(group, name, counts)
    both = np.isfinite(found["n_params"]) & np.isfinite(found["n_tokens"])
    slopes = {
        name: _slopes(logs, np.where(both, table, np.nan))
        for name, table in zip("ab", found.values(), strict=True)
    }
    return pd.DataFrame(slopes)


def interval(exponents: pd.Series) -> tuple[float, float] | None:
    """The 95 % percentile interval; None where too few resamples gave a line."""
    known = exponents.dropna()
    if len(known) < ENOUGH * len(exponents) or known.empty:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def _vertices(group: pd.DataFrame, name: str, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """ln of the least's size or data in each resample `[B]`; NaN where there is none inside."""
    x, which = np.unique(np.log(group[name].to_numpy(float)), return_inverse=True)
    if len(x) < LEAST:
        return np.full(len(counts), np.nan)
    member = np.eye(len(x))[which]
    weight = counts @ member
    total = (counts * group["loss"].to_numpy(float)) @ member
    there = weight > 0
    mean = total / np.where(there, weight, 1.0)
    middle = x.mean()
    powers = np.stack([np.ones_like(x), x - middle, (x - middle) ** 2], axis=1)
    used = there.sum(axis=1) >= LEAST
    shown = np.where(used[:, None], there, True).astype(float)
    normal = np.einsum("bs,si,sj->bij", shown, powers, powers)
    right = np.einsum("bs,bs,si->bi", shown, mean, powers)
    c = np.linalg.solve(normal, right[..., None])[..., 0]
    opens = c[:, 2] > TINY
    at = middle - c[:, 1] / (2 * np.where(opens, c[:, 2], 1.0))
    low = np.where(there, x, np.inf).min(axis=1)
    high = np.where(there, x, -np.inf).max(axis=1)
    return np.where(used & opens & (low < at) & (at < high), at, np.nan)


def _slopes(x: NDArray[np.float64], table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares slope of each row `[B, C]` against `x`, over what is known of it."""
    known = np.isfinite(table)
    count = known.sum(axis=1)
    safe = np.maximum(count, 1)
    y = np.where(known, table, 0.0)
    x_mean, y_mean = (known * x).sum(axis=1) / safe, y.sum(axis=1) / safe
    off = np.where(known, x - x_mean[:, None], 0.0)
    spread = (off**2).sum(axis=1)
    good = (count >= 2) & (spread > 0)
    slope = (off * (y - y_mean[:, None])).sum(axis=1) / np.where(good, spread, 1.0)
    return np.where(good, slope, np.nan)
