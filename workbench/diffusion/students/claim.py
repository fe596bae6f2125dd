"""The paper's claims beside ours: figures a claim card is made of.

The paper's abstract claims more diversity and realism than LCM, SD-Turbo and SwiftBrush v2 at a
similar cost; its table is not read here, so it has no numbers of them. Costs follow from shapes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from workbench.shipped import path

STUDY_FOLDER = "data/digits-students-study"
LATENT, TOKENS = 64, 77
"""Side of Stable Diffusion 1.5's latents, and tokens of its text."""


@dataclass(frozen=True)
class ClaimFact:
    """One row of a claim card.

    Attributes:
        label: what it is about.
        paper: the paper's figure, or its words.
        ours: ours, in words.
        verdict: "reproduced", "failed", or "open" where seeds do not tell or nothing is decided.
        basis: "predicted" where it follows from shapes, "recorded" where a study measured it.
        setting: of ours.
    """

    label: str
    paper: str
    ours: str
    verdict: Literal["reproduced", "failed", "open"]
    basis: Literal["predicted", "recorded"]
    setting: str


@cache
def stable_diffusion_macs() -> dict[str, float]:
    """Multiply-adds of a picture on Stable Diffusion 1.5: a step, four steps, one pass of K = 4."""
    from workbench.diffusion.costs import UNetShape, full_cost
    from workbench.diffusion.students.student import one_pass_cost
    from workbench.diffusion.unet import UNetConfig

    shape = UNetShape(UNetConfig(), LATENT, LATENT, TOKENS)
    one = full_cost(shape).macs
    return {"1 step": one, "4 steps": 4 * one, "one pass, K = 4": one_pass_cost(shape, 4).macs}


def claim_rows(folder: str | Path = STUDY_FOLDER) -> list[ClaimFact]:
    """Costs first, then what the study in `folder` found; costs alone where there is none."""
    macs = stable_diffusion_macs()
    ours, four, one = (macs[name] / 1e9 for name in ("one pass, K = 4", "4 steps", "1 step"))
    rows = [
        ClaimFact(
            "MACs, SD 1.5, K = 4",
            "near one step's",
            f"{ours:,.0f} G; 4 steps {four:,.0f} G, 1 step {one:,.0f} G",
            "open",
            "predicted",
            "512 px, no guidance, UNet alone",
        )
    ]
    card = study_card(folder)
    if card is None:
        return rows
    plan = card["plan"]
    setting = (
        f"Digits of 16 px, {plan['pictures']} pictures a seed, {card['budget_macs'] / 1e12:.1f} T "
        f"multiply-adds of training each; {card['device']}, {card['date']}"
    )
    asked = {
        ("diversity_ratio", "one pass, K = 4", "consistency, 4 steps"): (
            "Diversity against consistency",
            "higher than LCM's",
        ),
        ("toy_fid", "one pass, K = 4", "consistency, 4 steps"): (
            "toy-FID against consistency",
            "more realistic than LCM",
        ),
        ("diversity_ratio", "one pass, K = 4", "one pass, K = 4, λ = 0"): (
            "Diversity by the divergence, λ scaled to size against 0",
            "higher",
        ),
        ("toy_fid", "one pass, K = 4", "one pass, K = 4, λ = 0"): (
            "toy-FID by the divergence, λ scaled to size against 0",
            "more realistic",
        ),
    }
    for one_verdict in card["verdicts"]:
        key = tuple(one_verdict[name] for name in ("metric", "first", "second"))
        if key in asked:
            label, paper = asked[key]
            verdict = _decided(one_verdict)
            rows.append(ClaimFact(label, paper, _words(one_verdict), verdict, "recorded", setting))
    return rows


def study_card(folder: str | Path = STUDY_FOLDER) -> dict[str, Any] | None:
    """The card of a study; None where there is none."""
    try:
        place = path(folder) if isinstance(folder, str) else folder
        found: dict[str, Any] = json.loads((place / "card.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def _decided(row: dict[str, Any]) -> Literal["reproduced", "failed", "open"]:
    if not row["better"]:
        return "open"
    return "reproduced" if row["better"] == row["first"] else "failed"


def _words(row: dict[str, Any]) -> str:
    spread = "" if row["low"] is None else f" ({row['low']:+.2g} to {row['high']:+.2g})"
    return f"{row['ours']:.3g} against {row['theirs']:.3g}, {row['difference']:+.2g}{spread}"
