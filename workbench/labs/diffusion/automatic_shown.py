"""What the automatic plan's panel shows: front, drift with the plan, plans and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.diffusion.plan import Plan
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, heat, pareto
from workbench.figures.numbers import near_one, number
from workbench.labs.diffusion.automatic_judged import (
    AUTOMATIC,
    FEWER,
    HAND_MADE,
    Contender,
    Judged,
)
from workbench.labs.diffusion.facts import ModelFacts
from workbench.labs.diffusion.own_plan import pattern_of
from workbench.labs.diffusion.plan_cells import column, row_names
from workbench.panels.painting import KEPT
from workbench.panels.picture import Cell, Column, TableContent

NAMES = {
    AUTOMATIC: "Automatic plan",
    HAND_MADE: "Hand-made lists",
    FEWER: "Full, fewer steps",
}
SLOTS = {NAMES[AUTOMATIC]: 4, NAMES[HAND_MADE]: 2, NAMES[FEWER]: 0}
FINEST = 1e-4
FEW_NAMES = 3
"""Inherited names that are listed; more are counted."""
BY = {"seconds": "Time of the steps (% of a full run)", "operations": "Operations (% of full)"}


def front(judged: Judged, by: str, look: str) -> Chart:
    """Quality against cost: every automatic plan beside every hand-made list.

    Args:
        by: "seconds" or "operations".
        look: key of the contender looked at.
    """
    rows = [_row(one, by) for one in judged.contenders if getattr(one, by) is not None]
    count = len(judged.contenders[0].ssim) if judged.contenders else 0
    return pareto(
        rows,
        Axis("cost", BY[by], domain=(0.0, 110.0)),
        Axis("ssim", "SSIM to the full run (log scale of 1 − SSIM)", scale="nines", finest=FINEST),
        title="Does the automatic plan beat lists made by hand?",
        subtitle=f"Upper left is better · means over {count} seeds that the search never saw, "
        "whiskers: 95 %",
        current=look,
        slots=SLOTS,
        height=280,
    )


def _row(one: Contender, by: str) -> dict[str, Any]:
    cost, quality = 100 * getattr(one, by), one.quality
    label = one.name if one.origin == FEWER else ""
    return {
        "trial_id": one.key,
        "method": NAMES[one.origin],
        "label": label,
        "told": f"{NAMES[one.origin]}, {one.name}: {number(cost)} %, "
        f"SSIM {near_one(quality.value)}",
        "cost": cost,
        "ssim": quality.value,
        "ssim.low": quality.low,
        "ssim.high": min(quality.high, 1.0),
        "predicted": False,
    }


def drift_chart(
    drift: Mapping[str, Sequence[float | None]], plan: Plan | None, facts: ModelFacts, name: str
) -> Chart:
    """Measured change of each block at each step, and what the plan looked at keeps."""
    steps = max((len(values) for values in drift.values()), default=1)
    shown = plan if plan is not None and plan.steps == steps else Plan.full(steps)
    kinds = {
        action: dict(
            zip(
                row_names(facts.costs),
                column(facts, action, shown.branch, shown.inherited),
                strict=True,
            )
        )
        for action in set(shown.actions)
    }
    rows = [
        {
            "step": step,
            "block": block.replace(".", " "),
            "value": float(value),
            "reused": kinds[shown.actions[step]].get(block) == KEPT,
        }
        for block, values in drift.items()
        for step, value in enumerate(values)
        if value is not None
    ]
    return heat(
        rows,
        title="Where do features move, and what does the plan keep?",
        subtitle="Relative change since the step before, measured by the search · thin: kept from "
        "a full step",
        steps=steps,
        blocks=[block.replace(".", " ") for block in drift],
        plan=shown.full_steps,
        slot=SLOTS[NAMES[AUTOMATIC]],
        method=name,
    )


def chosen(judged: Judged) -> TableContent:
    """Every automatic plan: its cost, its likeness, and what its steps do."""
    plans = judged.of(AUTOMATIC)
    return TableContent(
        [
            Column("Asked for"),
            Column("Time", number=True),
            Column("Operations", number=True, optional=True),
            Column("SSIM", number=True),
            Column("95 %", number=True, optional=True),
            Column("Steps", wrap=True),
        ],
        [
            [
                Cell(_asked(one.name), method=SLOTS[NAMES[AUTOMATIC]]),
                _percent(one.seconds),
                _percent(one.operations),
                near_one(one.quality.value),
                _ends(one),
                words(one.plan),
            ]
            for one in plans
        ],
        "Which plans did the search choose?",
        "Shares of a full run. A row shows its plan in the map above.",
        [one.key for one in plans],
    )


def words(plan: Plan) -> str:
    """A plan's steps in a line."""
    parts = [pattern_of(plan.actions)]
    parts += [f"branch {plan.branch}"] if "shallow" in plan.actions else []
    names = plan.inherited
    kept = ", ".join(names) if len(names) <= FEW_NAMES else f"{len(names)} layers"
    parts += [f"inherits {kept}"] if "inherit" in plan.actions else []
    return " · ".join(parts)


def verdict_table(judged: Judged) -> TableContent:
    """What the judging says, and the search's own answers."""
    rows: list[list[Cell | str]] = [[name, said] for name, said in judged.verdicts.items()]
    for head, choice in (("The search", judged.choice), ("In 4 steps", judged.short)):
        if choice is not None:
            rows.append([head, said_of(choice)])
    return TableContent(
        [Column("Against"), Column("Verdict", wrap=True)],
        rows,
        "Is it worth it?",
        f"{judged.setting}. Intervals: 95 %, by drawing seeds.",
    )


def said_of(choice: Mapping[str, Any]) -> str:
    """The search's answer in words, which may be that none is worth it."""
    if choice.get("plan") is None:
        return f"None is worth it. {choice['reason']} {choice['advice']}".strip()
    return str(choice["reason"])


def _asked(name: str) -> str:
    """ "budget=0.5, …" as a person reads it."""
    first = name.split(",")[0]
    if first.startswith("budget="):
        return f"{100 * float(first.removeprefix('budget=')):.0f} % of full"
    return name


def _percent(share: float | None) -> Cell:
    return Cell("–" if share is None else f"{number(100 * share)} %")


def _ends(one: Contender) -> str:
    return f"{near_one(one.quality.low)}–{near_one(min(one.quality.high, 1.0))}"
