"""The claim card of MatMul-free LM: memory of training and of decoding, the paper's and ours."""

from __future__ import annotations

from workbench.figures import numbers
from workbench.labs.language.recorded import Benchmarked
from workbench.panels.picture import ClaimCard, ClaimRow, Verdict

URL = "https://arxiv.org/abs/2406.02528"
SAVED, SMALLER = 0.61, 10.0
"""The paper's: share of memory a fused layer saves in training, and times less in inference."""

KEPT = "memory fused saves, activations kept"
PLANNED = "memory fused saves, XLA's plan"
WEIGHTS = "dense weights over packed, with the embedding in int8"

DETAILS = (
    "Kept: what the backward pass is handed, counted from shapes, as torch keeps it, whose memory "
    "the paper measured on GPUs up to 1.3 B parameters. As compiled: XLA’s plan of loss and "
    "gradients on a CPU, with weights and gradients, without an optimizer’s moments; nothing is "
    "run. It saves less: XLA computes the plain layer’s cheap values again by itself, and joins "
    "what the fused layer computes twice. Both of ours share all other layers, and have them "
    "compute again what is cheap. Training is reproduced from 58 % and in part above 5 %; weights "
    "from 10 times."
)


def card(
    decoding: Benchmarked | None,
    training: Benchmarked | None,
    saving: float | None,
    setting: str,
    *,
    decides: bool,
) -> ClaimCard:
    """Paper and here, row by row.

    Args:
        decoding, training: the recorded benchmarks of 370 M; None where they do not ship.
        saving: of XLA's plan, compiled in this session; None where it was not.
        setting: of that plan.
        decides: whether it is the recorded setting: all of 370 M, with 4 texts of 2048 tokens.
    """
    kept = None if training is None else training.figures[KEPT].value / 100
    planned = None if training is None else training.figures[PLANNED].value / 100
    if saving is not None:
        planned = saving
    decided = decides or saving is None
    smaller = None if decoding is None else decoding.figures[WEIGHTS].value
    rows = [
        ClaimRow("Kept", "−61 %", _share(kept), _saved(kept)),
        ClaimRow(
            "As compiled", "−61 %", _share(planned),
            _saved(planned) if decided else "open",
        ),
        ClaimRow(
            "Weights", "> 10 ×",
            "not run" if smaller is None else f"{numbers.number(smaller)} ×",
            "open" if smaller is None else "reproduced" if smaller >= SMALLER else "failed",
        ),
    ]  # fmt: skip
    verdict, reason = _whole(rows)
    recorded = "370 M, 4 × 2048 tokens" + (f", recorded {training.date}" if training else "")
    here = recorded if saving is None else f"{setting}, compiled here; kept: {recorded}"
    return ClaimCard(
        source="MatMul-free LM, abstract",
        url=URL,
        text="A fused ternary layer trains with up to 61 % less memory; packed weights take less "
        "than a tenth.",
        rows=rows,
        verdict=verdict,
        reason=reason,
        setting=f"Here: {here}.",
        details=DETAILS,
    )


def _share(saving: float | None) -> str:
    if saving is None:
        return "not run"
    return f"{'−' if saving >= 0 else '+'}{100 * abs(saving):.0f} %"


def _saved(saving: float | None) -> Verdict:
    if saving is None:
        return "open"
    return "reproduced" if saving >= SAVED - 0.03 else "part" if saving > 0.05 else "failed"


def _whole(rows: list[ClaimRow]) -> tuple[Verdict, str]:
    found = [row.verdict for row in rows]
    if set(found) == {"open"}:
        return "open", "Nothing was compiled yet, and no benchmark ships with this installation."
    if set(found) == {"reproduced"}:
        return "reproduced", "Both savings are the paper's."
    if found[2] == "reproduced" and "failed" not in found:
        return "part", "Packed weights are as small; training saves less than on the paper's GPUs."
    if "reproduced" in found or "part" in found:
        return "part", "Some of it is as published."
    return "failed", "There is no such saving here."
