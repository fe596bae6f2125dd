"""A plan of one's own: written as a pattern, or painted in the plan editor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any, get_args

from workbench.diffusion.plan import Action, Plan, PlanError
from workbench.diffusion.planned import PlannedSampling
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob

ACTIONS: tuple[str, ...] = get_args(Action)
PART = re.compile(r"(?P<action>[a-z]+)(?:\s+(?P<count>\d+))?")


def expanded(pattern: str, steps: int) -> tuple[str, ...]:
    """What each step does: the pattern over and over, cut at the end of the run.

    Raises:
        PlanError: for a part that is no action with a count.
    """
    actions: list[str] = []
    for text in pattern.split(","):
        part = PART.fullmatch(text.strip())
        count = int(part["count"] or 1) if part else 0
        if part is None or part["action"] not in ACTIONS or not 1 <= count <= 1000:
            known = ", ".join(ACTIONS)
            raise PlanError(
                f"A pattern is written like “full, decode 4”, of {known}. You gave {text.strip()!r}"
            )
        actions += [part["action"]] * count
    return tuple(actions[i % len(actions)] for i in range(steps))


def pattern_of(actions: Sequence[str]) -> str:
    """The shortest pattern that gives these actions."""
    count = len(actions)
    period = next(
        n for n in range(1, count + 1) if all(actions[i] == actions[i % n] for i in range(count))
    )
    runs = ((action, len(list(run))) for action, run in groupby(actions[:period]))
    return ", ".join(action if count == 1 else f"{action} {count}" for action, count in runs)


def listed(names: str) -> tuple[str, ...]:
    """Names from a line of text."""
    return tuple(name for name in re.split(r"[,\s]+", names) if name)


class OwnPlan(PlannedSampling):
    """Every step as its owner wants it."""

    name = "Your plan"
    version = "1"
    slot = 3
    plan_field = "pattern"

    class Knobs(BaseKnobs):
        pattern: str = knob(
            "full, decode 4",
            help="What each step does, in order; the pattern repeats until the run is full. "
            "Full computes everything, decode keeps the encoder, shallow computes the outermost "
            "layers, inherit keeps the named blocks.",
            lines=3,
        )
        branch: int = knob(
            0,
            ge=0,
            le=30,
            help="Skip connection down to which shallow steps recompute, 0 the outermost.",
            source="DeepCache package: cache_branch_id",
        )
        inherited: str = knob(
            "",
            label="Inherited",
            help="Blocks whose values inherit steps keep, such as “mid, up.0”.",
            source="A-SDM, arXiv 2406.00210",
        )
        largest_group: int = knob(
            8,
            ge=1,
            le=16,
            unit="steps",
            label="Largest group",
            help="Decode steps that run as one batch at most. The result is the same for every "
            "value.",
            source="Faster Diffusion §3.3",
        )
        injection: float = knob(
            0.0,
            ge=0.0,
            le=0.02,
            step=0.001,
            label="Noise injection",
            help="Adds this share of the first noise before each step of the last half.",
            paper=0.003,
            source="Faster Diffusion §3.4",
        )

    def plan(self, steps: int) -> Plan:
        actions: Any = expanded(self.knobs.pattern, steps)
        more: dict[str, Any] = {}
        if "inherit" in actions:
            more["inherited"] = listed(self.knobs.inherited)
        if "shallow" in actions:
            more["branch"] = self.knobs.branch
        if "decode" in actions:
            more["largest_group"] = self.knobs.largest_group
        return Plan(actions, injection=self.knobs.injection, **more)

    @classmethod
    def of(cls, plan: Plan) -> OwnPlan:
        """The method that runs a plan."""
        return cls(**settings_of(plan))


def settings_of(plan: Plan) -> dict[str, Any]:
    """Knobs under which `OwnPlan` gives this plan; settings that play no part keep their default.

    Raises:
        PlanError: for numbers beyond the knobs' own limits.
    """
    found: dict[str, Any] = {"pattern": pattern_of(plan.actions), "injection": plan.injection}
    if "shallow" in plan.actions:
        found["branch"] = plan.branch
    if "decode" in plan.actions:
        found["largest_group"] = plan.largest_group
    if "inherit" in plan.actions:
        found["inherited"] = ", ".join(getattr(plan, "inherited", ()))
    return OwnPlan.Knobs.parse(found).model_dump()
