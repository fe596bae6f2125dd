"""The exponent of N* by other ways on the same runs: approaches 1 and 2, variable projection."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from workbench.scaling.result import Fit


def exponents(fit: Fit, curves: pd.DataFrame | None = None) -> dict[str, float]:
    """Exponent a of N* ~ C^a by the ways that these runs allow, by name.

    Args:
        fit: whose rows.
        curves: their rows by step, where they are known.
    """
    from workbench.scaling.curve_envelope import envelope
    from workbench.scaling.parabolas import isoflop
    from workbench.scaling.projection import project
    from workbench.scaling.runs_table import RunsError

    found: dict[str, float] = {}
    if not {"n_params", "n_tokens", "loss"} <= set(fit.runs.columns):
        return found
    if curves is not None:
        with contextlib.suppress(ValueError):  # too few sizes with a least inside
            found["approach 1"] = envelope(curves).size[0]
    with contextlib.suppress(ValueError):  # too few budgets with a least inside
        lines, _ = isoflop(fit.runs)
        found["approach 2"] = lines.size[0]
    with contextlib.suppress(RunsError):
        projected = project(fit.runs)[0].params
        found["projection"] = projected["beta"] / (projected["alpha"] + projected["beta"])
    return found
