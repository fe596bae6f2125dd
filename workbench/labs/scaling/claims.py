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
    "Approach 3 reproduces the claim where its 95 % interval holds 0.5, and does not where it "
    "leaves it out. Approach 2 is shown and decides nothing; its interval is of resampled runs. "
    "Simulated runs decide nothing. "
)


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
        verdict = "reproduced" if a[1] <= 0.5 <= a[2] else "failed"
    said = {name: f"{value:.3f}" for name, (value, _, _) in more.items()}
    second, third = EXPONENTS["hoffmann-2"], EXPONENTS["hoffmann-3"]
    here = "not run" if a is None else f"{a[0]:.3f}"
    rows = [
        ClaimRow("Approach 2", f"{second.a:g}{second.mark}", said.get("approach 2", "not run")),
        ClaimRow("Approach 3", f"{third.a:g}{third.mark}", here, verdict),
    ]
    reasons: Mapping[str, str] = {
        "open": "Simulated runs decide nothing." if not table.real else "No interval yet.",
        "reproduced": "The interval holds 0.5.",
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
