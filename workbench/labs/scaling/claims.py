"""The claim card of the fit page: whether size and data should grow alike."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.labs.scaling.fit_charts import exponent
from workbench.labs.scaling.fits import Fitted
from workbench.labs.scaling.other_ways import Exponent
from workbench.labs.scaling.tables import Table
from workbench.panels.picture import ClaimCard, ClaimRow, Verdict

URL = "https://arxiv.org/abs/2203.15556"

RULE = (
    "Approach 3 reproduces the claim where its 95 % interval holds 0.5 and leaves out the 0.73 of "
    "Kaplan et al. 2020, and does not where it leaves 0.5 out. Approach 2 is shown and decides "
    "nothing; its interval is of resampled runs. Simulated runs decide nothing. "
)
EQUAL, KAPLAN = 0.5, 0.73
"""Exponents of N* against C: in equal proportion, and by Kaplan et al. 2020."""


def equal_growth(found: Fitted | None, more: Mapping[str, Exponent], table: Table) -> ClaimCard:
    """Hoffmann et al.: parameters and tokens in equal proportion.

    Args:
        found: the fit; None before there is one.
        more: exponents by other ways on the same runs.
        table: whose runs; only runs that were trained decide.
    """
    from workbench.scaling.presets import EXPONENTS, UNCONFIRMED_WORDS

    a = None if found is None else exponent(found.fit)
    verdict: Verdict = "open"
    if a is not None and a[1] is not None and a[2] is not None and table.real:
        holds, tells = a[1] <= EQUAL <= a[2], not a[1] <= KAPLAN <= a[2]
        verdict = ("reproduced" if tells else "open") if holds else "failed"
    said = {name: f"{value:.3f}" for name, (value, _, _) in more.items()}
    second, third = EXPONENTS["hoffmann-2"], EXPONENTS["hoffmann-3"]
    here = "not run" if a is None else f"{a[0]:.3f}"
    rows = [
        ClaimRow("Approach 2", f"{second.a:g}{second.mark}", said.get("approach 2", "not run")),
        ClaimRow("Approach 3", f"{third.a:g}{third.mark}", here, verdict),
    ]
    reasons: Mapping[str, str] = {
        "open": _undecided(a, table),
        "reproduced": "The interval holds 0.5 and leaves Kaplan’s 0.73 out.",
        "failed": "The interval leaves 0.5 out.",
    }
    return ClaimCard(
        source="Hoffmann et al. 2022, §3.4",
        url=URL,
        text="Parameters and data should grow in equal proportion.",
        rows=rows,
        verdict=verdict,
        reason=reasons[verdict],
        columns=("exponent a", "paper", "here"),
        setting=f"{table.title}. Paper: 70 M to 16 B parameters.",
        details=f"{RULE}{UNCONFIRMED_WORDS}.",
    )


def _undecided(a: tuple[float, float | None, float | None] | None, table: Table) -> str:
    if not table.real:
        return "Simulated runs decide nothing."
    if a is None or a[1] is None:
        return "No interval yet."
    return "The interval holds 0.5 and Kaplan’s 0.73 alike."
