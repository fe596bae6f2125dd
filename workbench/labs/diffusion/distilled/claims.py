"""TiUE's claims beside what the study found."""

from __future__ import annotations

from workbench.diffusion.stable_diffusion import STABLE_DIFFUSION_15
from workbench.diffusion.students.methods import TIUE
from workbench.figures.numbers import number
from workbench.labs.diffusion.distilled.shown import FOUR, Study
from workbench.panels.picture import ClaimCard, ClaimRow, Verdict

ASKED = {
    ("diversity_ratio", "consistency, 4 steps"): ("Diversity, LCM", "higher"),
    ("toy_fid", "consistency, 4 steps"): ("toy-FID, LCM", "lower"),
    ("diversity_ratio", f"{FOUR}, λ = 0"): ("Diversity, no λ", "higher"),
    ("toy_fid", f"{FOUR}, λ = 0"): ("toy-FID, no λ", "lower"),
}
"""Metric and rival of the one-pass student; what the card calls it, and the claim."""


def claim(found: Study) -> ClaimCard:
    """Costs by formula; then the student of four decoders against its rivals, whichever way."""
    card = found.card
    costs = STABLE_DIFFUSION_15
    ratio = 1 + 3 * costs.decode.macs / costs.full.macs
    rows = [
        ClaimRow("MACs, 1 step", "near 1 ×", f"{number(ratio)} ×", "open", "predicted"),
    ]
    told: list[Verdict] = []
    for one in card["verdicts"]:
        key = one["metric"], one["second"]
        if one["first"] != FOUR or key not in ASKED:
            continue
        words, paper = ASKED[key]
        verdict: Verdict = "open"
        if one["better"]:
            verdict = "reproduced" if one["better"] == FOUR else "failed"
        told.append(verdict)
        here = f"{one['difference']:+.2g}".replace("-", "−")
        rows.append(ClaimRow(words, paper, here, verdict))
    better, worse = told.count("reproduced"), told.count("failed")
    whole: Verdict = "open"
    if told and better == len(told):
        whole = "reproduced"
    elif better:
        whole = "part"
    elif worse:
        whole = "failed"
    plan = card["plan"]
    return ClaimCard(
        source="TiUE, abstract",
        url=TIUE.url,
        text="One encoder pass and parallel decoders draw more diverse and more realistic pictures "
        "than LCM, SD-Turbo and SwiftBrush v2 at a similar cost.",
        rows=rows,
        verdict=whole,
        reason=f"On digits {better} of {len(told)} comparisons are as claimed, {worse} the other "
        f"way, {len(told) - better - worse} not told apart.",
        setting=f"Here: {card['device']}, {card['date']}, {plan['pictures']} pictures a seed, "
        f"{number(card['budget_macs'] / 1e12)} T multiply-adds of training each. Paper: SD 1.5 and "
        "2.1, 1.4 M prompts.",
        details="Differences of the student with K = 4 to a consistency student of four steps, and "
        "to itself without λ; decided where the interval over three seeds excludes zero. The "
        "paper’s table is not at hand, so its column says only which way. Rates, lengths, λ at "
        "this size and the fake score’s rank are ours; so short a training may not reach what "
        "the paper’s does.",
        bibtex=TIUE.bibtex(),
    )
