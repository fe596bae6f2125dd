"""The plan editor's grid: what is painted, what a stroke changes, and what can be laid over all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from workbench.diffusion import step_lists
from workbench.diffusion.arithmetic import UnitCosts
from workbench.diffusion.plan import Plan
from workbench.figures.numbers import memory, number, percent
from workbench.labs.diffusion.facts import ModelFacts
from workbench.labs.diffusion.own_plan import (
    OwnPlan,
    expanded,
    listed,
    pattern_of,
    settings_of,
)
from workbench.labs.diffusion.plan_cells import column, row_names
from workbench.panels.painting import Brush, PaintGrid, PaintRow, Stroke

BRUSHES = (
    Brush("full", "Full", "The step computes everything"),
    Brush("decode", "Decode", "The step keeps the encoder’s features and runs the decoder"),
    Brush("shallow", "Shallow", "The step runs the outermost layers, down to the branch"),
    Brush("inherit", "Inherit", "The step keeps the painted blocks and computes the rest", True),
)
INTERVALS = (2, 3, 4, 5, 8, 10)

Fill = tuple[str, Callable[[int], Plan]]


def _spread(steps: int, keys: Sequence[int], otherwise: Any, **more: Any) -> Plan:
    return Plan.from_full_steps(keys, steps, otherwise, **more)


def _listed(name: str) -> Callable[[int], Plan]:
    """Plans of a published list of Faster Diffusion."""

    def plan(steps: int) -> Plan:
        return _spread(steps, step_lists.published(name, steps), "decode", largest_group=8)

    return plan


def _fills() -> dict[str, Fill]:
    """Every published list, and every N-th step."""
    names = {"paper": "50ls, the paper’s", "second": "50ls2", "late": "50ls3", "spread": "50ls4"}
    found: dict[str, Fill] = {"all": ("All steps in full", Plan.full)}
    for name, label in names.items():
        found[f"list {name}"] = (f"Faster Diffusion {label}", _listed(name))
    found["triangular"] = (
        "Faster Diffusion triangular",
        lambda steps: _spread(steps, step_lists.triangular(steps), "decode", largest_group=8),
    )
    for kind, label in (("decode", "keep the encoder"), ("shallow", "outermost layers")):
        for every in INTERVALS:

            def uniform_plan(steps: int, every: int = every, kind: str = kind) -> Plan:
                more = {"largest_group": 8} if kind == "decode" else {}
                return _spread(steps, step_lists.uniform(steps, every), kind, **more)

            found[f"{kind} {every}"] = (f"Full every {every}, else {label}", uniform_plan)
    found["centre"] = (
        "DeepCache centre-dense, a fifth in full",
        lambda steps: _spread(
            steps, step_lists.centre_dense(steps, 5, 0.3 * steps, 1.4), "shallow"
        ),
    )
    return found


FILLS = _fills()
"""Plans to start from, by id: a label, and the plan for a number of steps."""


def fills_of(steps: int) -> dict[str, Fill]:
    """Those for every run, and the published lists that belong to runs just so long."""
    found = dict(FILLS)
    for name, length in step_lists.DEEPFLOYD_STEPS.items():
        if length == steps:
            found[f"list {name}"] = (f"Faster Diffusion {name}, DeepFloyd IF’s", _listed(name))
    return found


def plan_grid(
    knobs: Any,
    steps: int,
    plan: Plan | None,
    facts: ModelFacts,
    *,
    slot: int,
    actions: Sequence[tuple[str, str]] = (),
) -> PaintGrid:
    """The grid of a pattern, whether or not it is a plan that can run.

    Args:
        knobs: of `OwnPlan`.
        plan: of these knobs; None where they make none.
        slot: of the hue.
        actions: buttons beside the brushes.

    Raises:
        PlanError: for a pattern that cannot be read.
    """
    does, inherited = expanded(knobs.pattern, steps), listed(knobs.inherited)
    kinds = {kind: column(facts, kind, knobs.branch, inherited) for kind in set(does)}
    names = row_names(facts.costs)
    whole = sum(facts.block_macs.values())
    return PaintGrid(
        rows=[
            PaintRow(
                name,
                name,
                "".join(kinds[kind][place] for kind in does),
                held=name in inherited,
                note=_percent(facts.block_macs[name] / whole) if name in facts.block_macs else "",
            )
            for place, name in enumerate(names)
        ],
        columns=does,
        brushes=[b for b in BRUSHES if b.id != "shallow" or facts.costs.shallow],
        sources=_sources(does),
        heights=_heights(plan, facts.costs),
        height="operations",
        wrong=_wrong(does, inherited),
        fills=[(name, label) for name, (label, _) in fills_of(steps).items()],
        actions=actions,
        note=_note(does, plan, facts.costs),
        mark=slot,
    )


def painted(stroke: Stroke, knobs: Any, steps: int, facts: ModelFacts) -> dict[str, Any] | None:
    """Knobs of `OwnPlan` after a stroke; None where it changes nothing.

    Raises:
        ValueError: for a brush there is not, or a list that a run so short does not have.
    """
    fills = fills_of(steps)
    if stroke.brush in fills:
        return settings_of(fills[stroke.brush][1](steps))
    if stroke.brush not in [brush.id for brush in BRUSHES]:
        raise ValueError(f"There is no brush {stroke.brush!r}")
    does, held = list(expanded(knobs.pattern, steps)), list(listed(knobs.inherited))
    touched = {place for place, _ in stroke.cells if 0 <= place < steps}
    kept_action: str = "full" if stroke.erase else stroke.brush
    if stroke.brush == "inherit":
        rows = {row for _, row in stroke.cells}
        if stroke.erase:
            held = [name for name in held if name not in rows]
            kept_action = "inherit" if held else "full"
        else:
            held += [name for name in facts.blocks if name in rows and name not in held]
        if not held:
            does = ["full" if action == "inherit" else action for action in does]
            touched = set()
    for place in touched:
        does[place] = kept_action
    changed = {"pattern": pattern_of(does), "inherited": ", ".join(held)}
    same = (changed["pattern"], changed["inherited"]) == (knobs.pattern, knobs.inherited)
    return None if same else changed


def own_plan(knobs: Any, steps: int) -> Plan | None:
    """The plan of the knobs; None where they make none."""
    try:
        return OwnPlan(knobs).plan(steps)
    except ValueError:
        return None


def _sources(does: Sequence[str]) -> list[int]:
    """The full step each step keeps from; -1 where it keeps nothing."""
    found, last = [], -1
    for step, action in enumerate(does):
        last = step if action == "full" else last
        found.append(-1 if action == "full" else last)
    return found


def _wrong(does: Sequence[str], inherited: Sequence[str]) -> list[int]:
    first = [0] if does[0] != "full" else []
    nameless = [] if inherited else [i for i, action in enumerate(does) if action == "inherit"]
    return sorted({*first, *nameless})


def _heights(plan: Plan | None, costs: UnitCosts) -> list[float]:
    if plan is None:
        return []
    try:
        return [cost.macs / costs.full.macs for cost in costs.steps(plan)]
    except (LookupError, ValueError):  # a branch or a name that the model does not have
        return []


def _note(does: Sequence[str], plan: Plan | None, costs: UnitCosts) -> str:
    full = f"{does.count('full')} of {len(does)} steps in full"
    heights = _heights(plan, costs)
    if plan is None or not heights:
        return f"{full}."
    share = percent(sum(heights) / len(heights))
    return f"{full}. {share} of the operations. Keeps {memory(costs.kept_bytes(plan))} a pass."


def _percent(share: float) -> str:
    return f"{number(100 * share, 2)} %"
