"""The exponent of N* by other ways on the same runs: approach 2, and variable projection."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.scaling.result import Fit


def exponents(fit: Fit) -> dict[str, float]:
    """Exponent a of N* ~ C^a by the ways that these runs allow, by name.

    Args:
        fit: whose rows.
    """
    from workbench.scaling.parabolas import isoflop
    from workbench.scaling.projection import project
    from workbench.scaling.runs_table import RunsError

    found: dict[str, float] = {}
    if not {"n_params", "n_tokens", "loss"} <= set(fit.runs.columns):
        return found
    with contextlib.suppress(ValueError):  # too few budgets with a least inside
        lines, _ = isoflop(fit.runs)
        found["approach 2"] = lines.size[0]
    with contextlib.suppress(RunsError):
        projected = project(fit.runs)[0].params
        found["projection"] = projected["beta"] / (projected["alpha"] + projected["beta"])
    return found
