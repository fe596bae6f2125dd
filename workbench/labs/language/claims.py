"""Claim cards of this lab: the paper's figure, ours, and a verdict from what was measured.

A row is decided only by a shipped study or a measurement here at the setting that is named; by no
prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from workbench.figures import numbers
from workbench.panels.picture import ClaimCard, ClaimRow, Verdict

if TYPE_CHECKING:
    from workbench.language.studies.ranking import Ranking

GLA_URL, ZOOLOGY_URL = (
    f"https://arxiv.org/abs/{number}" for number in ("2312.06635", "2312.04927")
)

GATES: Mapping[str, tuple[str, str]] = {
    "no gate": ("No gate", "23.21"),
    "fixed decay": ("Fixed decay", "16.55"),
    "scalar gate": ("Scalar gate", "15.56"),
    "GLA": ("GLA, 4 heads", "14.77"),
}
"""Name in the study: name here, and training perplexity in the paper's ablation."""

RECALL = ("RetNet", "GLA", "DeltaNet", "Transformer++")
"""From the least recall to the most, as published."""

RULE = (
    "Each row is held against the one above it, paired over seeds: reproduced where a 95 % "
    "interval parts them the paper's way, not reproduced where it parts them the other way, not "
    "decided where seeds do not part them."
)

Study = tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]
"""Rows and card of a study."""


def gates(study: Study | None) -> ClaimCard:
    """The gate ablation: the paper's order beside ours, at the largest size.

    Args:
        study: the shipped one; None where it does not ship.
    """
    ranked = _ranked(study, "bits_per_byte", "lower", "size")
    here = {name: numbers.number(one.value) for name, one in ranked.means.items()} if ranked else {}
    verdicts = _steps(ranked, list(GATES))
    rows = [
        ClaimRow(name, paper, here.get(kind, _absent(study, kind)), verdicts[kind])
        for kind, (name, paper) in GATES.items()
    ]
    verdict, reason = _order(rows)
    return ClaimCard(
        source="GLA, gate ablation, 340 M",
        url=GLA_URL,
        text="The finer the forget gate, the lower the loss.",
        rows=rows,
        verdict=verdict,
        reason=reason,
        columns=("", "paper, ppl", "bits/byte"),
        setting=f"{_here(study, ranked)}Paper: 340 M parameters, 7 B tokens.",
        details=f"{RULE}{_seen(study)}{_searched(study)}",
    )


def recall(study: Study | None) -> ClaimCard:
    """Recall: the published order beside ours, at the most pairs."""
    ranked = _ranked(study, "accuracy", "higher", "pairs")
    means = ranked.means if ranked else {}
    verdicts = _steps(ranked, RECALL)
    rows = [
        ClaimRow(
            name,
            f"{len(RECALL) - place}.",
            numbers.percent(means[name].value) if name in means else _absent(study, name),
            verdicts[name],
        )
        for place, name in enumerate(RECALL)
    ]
    verdict, reason = _order(rows)
    return ClaimCard(
        source="Zoology and DeltaNet, MQAR",
        url=ZOOLOGY_URL,
        text="Attention recalls most, then a delta rule, then gates, then a fixed decay.",
        rows=rows,
        verdict=verdict,
        reason=reason,
        columns=("", "order", "answered"),
        setting=f"{_here(study, ranked)}{_trained(study)}Papers: T 64 to 512, widths to 512, "
        "64 epochs.",
        details=f"{RULE}{_searched(study)}",
    )


def _ranked(
    study: Study | None, value: str, better: Literal["lower", "higher"], within: str
) -> Ranking | None:
    """The study's last group: its largest size, or most pairs."""
    if study is None or not study[0]:
        return None
    from workbench.language.studies.ranking import ranking, without

    rows, card = study
    kept = without(rows, card.get("diverged", ()))
    if not kept:
        return None
    return ranking(kept, value, better=better, within=within, margin=card.get("margin", 0))[-1]


def _absent(study: Study | None, name: str) -> str:
    """Why a family stands in no order."""
    gone = () if study is None else study[1].get("diverged", ())
    return "diverged" if any(one["name"] == name for one in gone) else "not run"


def _steps(ranked: Ranking | None, order: Sequence[str]) -> dict[str, Verdict]:
    """Of each name, whether it is better than the one before it."""
    found: dict[str, Verdict] = dict.fromkeys(order, "open")
    for before, name in pairwise(order):
        if ranked is not None and before in ranked.means and name in ranked.means:
            words: dict[bool | None, Verdict] = {True: "reproduced", False: "failed", None: "open"}
            found[name] = words[ranked.before(name, before)]
    return found


def _order(rows: Sequence[ClaimRow]) -> tuple[Verdict, str]:
    found = [row.verdict for row in rows[1:]]
    if any(row.here == "not run" for row in rows):
        return "open", "No full study ships with this installation."
    if all(verdict == "reproduced" for verdict in found):
        return "reproduced", "The order is the paper's at our scale, too."
    if "failed" in found:
        return "failed", "At our scale the order is another one; models here are far smaller."
    if "reproduced" in found:
        return "part", "The order agrees where seeds part the models at all."
    if any(row.here == "diverged" for row in rows):
        return "open", "Training diverged for some models, and seeds do not part the others."
    return "open", "At our scale seeds do not part these models."


def _here(study: Study | None, ranked: Ranking | None) -> str:
    if study is None or ranked is None:
        return ""
    card = study[1]
    unfinished = "" if card.get("finished", True) else f", {card.get('runs')} runs"
    return f"Here: {ranked.within}{unfinished}, {card['device']}, {card['date']}. "


def _trained(study: Study | None) -> str:
    """How long each row of recall was and how long training."""
    if study is None or not {"length", "steps", "batch_size"} <= study[1].keys():
        return ""
    card = study[1]
    return f"T {card['length']}, {card['steps']} updates of {card['batch_size']} texts. "


def _seen(study: Study | None) -> str:
    """Unique bytes and epochs."""
    words = None if study is None else study[1].get("seen")
    return f" Text: {words}." if words else ""


def _searched(study: Study | None) -> str:
    """Models whose best rate was the lowest or highest tried."""
    ends = () if study is None else study[1].get("at_an_end", ())
    if not ends:
        return ""
    return f" Best at an end of the rates tried, so that others may do better: {', '.join(ends)}."
