"""Claim cards of this lab: the paper's figure, ours, and a verdict from what was measured.

A row is decided only by a shipped study or a measurement here at the setting that is named; by no
prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.figures import numbers
from workbench.panels.picture import ClaimCard, ClaimRow, Verdict

if TYPE_CHECKING:
    from workbench.labs.language.recorded import RecordedRecall

GLA_URL, MATMULFREE_URL, ZOOLOGY_URL = (
    f"https://arxiv.org/abs/{number}" for number in ("2312.06635", "2406.02528", "2312.04927")
)

GATES: Mapping[str, tuple[str, float]] = {
    "gla-none": ("No gate", 23.21),
    "gla-fixed": ("Fixed decay", 16.55),
    "gla-scalar": ("Scalar gate", 15.56),
    "gla": ("GLA, 4 heads", 14.77),
}
"""Kind on the ladder: name, and training perplexity in the paper's ablation."""

MARGIN = 0.01
"""Bits per byte under which two gates count as equal."""


def gates(study: tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]] | None) -> ClaimCard:
    """The gate ablation: the paper's order beside ours.

    Args:
        study: rows and card of the shipped study; None where it does not ship.
    """
    found = _gate_means(study[0]) if study else {}
    rows, before = [], None
    for kind, (name, paper) in GATES.items():
        here = found.get(kind)
        verdict: Verdict = "open"
        if here is not None and before is not None:
            gap = before - here
            verdict = "reproduced" if gap > MARGIN else "part" if abs(gap) <= MARGIN else "failed"
        rows.append(
            ClaimRow(
                name,
                numbers.number(paper, 4),
                "not run" if here is None else numbers.number(here),
                verdict,
            )
        )
        before = here if here is not None else before
    verdict, reason = _order([row.verdict for row in rows[1:]])
    card = study[1] if study else {}
    setting = f"Here: {card['device']}, {card['date']}. " if {"device", "date"} <= set(card) else ""
    return ClaimCard(
        source="GLA, gate ablation, 340 M",
        url=GLA_URL,
        text="The finer the forget gate, the lower the loss.",
        rows=rows,
        verdict=verdict,
        reason=reason,
        columns=("", "paper, ppl", "bits/byte"),
        setting=setting + "Paper: 340 M parameters, 7 B tokens.",
        details="A row is held against the one above it: reproduced where ours is lower by more "
        f"than {MARGIN:g} bits per byte, in part within that, else not. Means over seeds at the "
        "largest size of the study.",
    )


def _gate_means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean bits per byte of each kind at the largest size there is."""
    known = [row for row in rows if row.get("kind") in GATES and row.get("bits_per_byte")]
    if not known:
        return {}
    largest = max(float(row.get("parameters", 0)) for row in known)
    groups: dict[str, list[float]] = {}
    for row in known:
        if float(row.get("parameters", 0)) >= 0.9 * largest:
            groups.setdefault(str(row["kind"]), []).append(float(row["bits_per_byte"]))
    return {kind: sum(values) / len(values) for kind, values in groups.items()}


def _order(found: Sequence[Verdict]) -> tuple[Verdict, str]:
    if "open" in found:
        return "open", "No full study ships with this installation."
    if all(verdict == "reproduced" for verdict in found):
        return "reproduced", "The order is the paper's at our scale, too."
    if "failed" in found:
        return "failed", "At our scale the order is another one; models here are far smaller."
    return "part", "The order agrees where the gates differ at all at our scale."


def recall(known: RecordedRecall | None) -> ClaimCard:
    """Recall falls from softmax to fixed decay: the order of the papers beside ours."""
    order = ("Transformer++", "DeltaNet", "GLA", "RetNet")
    means: dict[str, float] = {}
    if known is not None:
        for name in order:
            values = [one.accuracy for one in known.rows if one.name == name]
            if values:
                means[name] = sum(values) / len(values)
    rows: list[ClaimRow] = []
    for place, name in enumerate(order):
        verdict: Verdict = "open"
        if place and name in means and order[place - 1] in means:
            verdict = "reproduced" if means[name] <= means[order[place - 1]] else "failed"
        here = numbers.percent(means[name]) if name in means else "not run"
        rows.append(ClaimRow(name, f"{place + 1}.", here, verdict))
    verdict, reason = _order([row.verdict for row in rows[1:]])
    setting = "" if known is None else f"Here: {known.device}, {known.date}. "
    return ClaimCard(
        source="Zoology and DeltaNet, MQAR",
        url=ZOOLOGY_URL,
        text="Attention recalls most; a delta rule recalls more than gates alone.",
        rows=rows,
        verdict=verdict,
        reason=reason,
        columns=("", "order", "answered"),
        setting=f"{setting}Papers: T 64 to 512, widths to 512.",
        details="A row is reproduced where its mean is not above that of the row before it.",
    )


def training_memory(saving: float | None, setting: str, whole: bool) -> ClaimCard:
    """Memory of training with the fused layer against the plain one.

    Args:
        saving: share saved here; None where it was not analysed.
        setting: of ours.
        whole: whether ours is the 370 M model; nothing else decides.
    """
    verdict: Verdict = "open"
    if saving is not None and whole:
        verdict = "reproduced" if saving >= 0.58 else "part" if saving > 0.05 else "failed"
    here = "not run"
    if saving is not None:
        here = f"{'−' if saving >= 0 else '+'}{numbers.percent(abs(saving))}"
    reason = {
        "open": "Only the whole 370 M model decides."
        if saving is not None
        else "Nothing was compiled yet.",
        "reproduced": "The saving is the paper's.",
        "part": "There is a saving, and it is smaller than the paper's largest.",
        "failed": "There is no saving.",
    }[verdict]
    return ClaimCard(
        source="MatMul-free LM, abstract",
        url=MATMULFREE_URL,
        text="A fused ternary layer trains with up to 61 % less memory.",
        rows=[ClaimRow("Training memory", "−61 %", here, verdict)],
        verdict=verdict,
        reason=reason,
        setting=f"{setting} Paper: one GPU, up to 1.3 B parameters.",
        details="Ours is XLA's own figure for the compiled update, no measurement of a running "
        "one. Reproduced: at least 58 %. In part: more than 5 %.",
    )
