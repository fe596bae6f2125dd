"""The exponent of N* by other ways on the same runs: approaches 1 and 2, variable projection."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from workbench.scaling.result import Fit

Exponent = tuple[float, float | None, float | None]
"""A value with the ends of its 95 % interval, where there is one."""


def exponents(fit: Fit, curves: pd.DataFrame | None = None) -> dict[str, Exponent]:
    """Exponent a of N* ~ C^a by the ways that these runs allow, by name.

    Args:
        fit: whose rows.
        curves: their rows by step, where they are known.
    """
    from workbench.scaling.curve_envelope import checked_curves, envelope
    from workbench.scaling.projection import project
    from workbench.scaling.runs_table import RunsError

    found: dict[str, Exponent] = {}
    if not {"n_params", "n_tokens", "loss"} <= set(fit.runs.columns):
        return found
    if curves is not None:
        with contextlib.suppress(ValueError):  # too few sizes with a least inside
            found["approach 1"] = (
                envelope(checked_curves(curves, drop=True)[0]).size[0],
                None,
                None,
            )
    with contextlib.suppress(ValueError):  # too few budgets with a least inside
        found["approach 2"] = by_parabolas(fit.runs)
    with contextlib.suppress(RunsError):
        projected = project(fit.runs)[0].params
        a = projected["beta"] / (projected["alpha"] + projected["beta"])
        found["projection"] = (a, None, None)
    return found


def by_parabolas(runs: pd.DataFrame) -> Exponent:
    """Approach 2, with the interval of resampled runs where enough resamples give a line.

    Rows that it cannot read are left out, such as those whose tokens a law of compute ignores.

    Raises:
        ValueError: fewer than two budgets with a vertex.
    """
    from workbench.scaling.parabola_draws import drawn, interval
    from workbench.scaling.parabolas import checked_sizes, isoflop

    runs, _ = checked_sizes(runs, drop=True)
    lines, _ = isoflop(runs)
    ends = interval(drawn(runs)["a"])
    return (lines.size[0], *(ends or (None, None)))
