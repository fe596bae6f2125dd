"""The plan with the least expected error for a share of the time, by dynamic programming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from workbench.diffusion.automatic.reuse import LARGEST_GROUP, Reuse, kits
from workbench.diffusion.automatic.survey import Survey
from workbench.diffusion.plan import Action, Plan

SCALES = range(24, 65)
"""Levels of cost in one full step; the scale that rounds a kit's costs least is taken."""
FULL = 0
"""Choice of a full step in `Choices`; a kind of the kit is its place plus one."""


@dataclass(frozen=True)
class Choices:
    """What each step of a plan does: `FULL`, or one more than the place of a kind in the survey."""

    steps: tuple[int, ...]

    def plan(self, reuses: Sequence[Reuse]) -> Plan:
        """As a plan; decoding, one branch and one set of names at most."""
        used = [reuses[choice - 1] for choice in dict.fromkeys(self.steps) if choice != FULL]
        branch = next((r.branch for r in used if r.action == "shallow"), 0)
        names = next((r.inherited for r in used if r.action == "inherit"), ())
        actions: tuple[Action, ...] = tuple(
            "full" if choice == FULL else reuses[choice - 1].action for choice in self.steps
        )
        return Plan(actions, branch, LARGEST_GROUP, inherited=names)

    def share(self, costs: Sequence[float]) -> float:
        """Cost of the run against that of a full one; `costs` full first, then by kind."""
        return sum(costs[choice] for choice in self.steps) / (costs[FULL] * len(self.steps))

    def error(self, errors: Float[np.ndarray, "A S S"]) -> float:
        """Expected change of the final sample: the sum over steps, a bound."""
        total, last = 0.0, 0
        for step, choice in enumerate(self.steps):
            if choice == FULL:
                last = step
            else:
                total += float(errors[choice - 1, step, step - last])
        return total


def best(
    survey: Survey, costs: Sequence[float], budget: float, count: int = 1
) -> list[tuple[Choices, float]]:
    """The plans of least expected error within a share of the full cost, one for each kit of kinds.

    Args:
        costs: of one step, full first, then each kind of the survey.
        budget: share of the full run's cost.
        count: plans at most, different ones, the best first.
    """
    errors = survey.errors()
    found: dict[Choices, float] = {}
    for kit in kits(survey.reuses):
        choices = _programmed(errors, costs, kit, survey.steps, budget)
        if choices is not None:
            found[choices] = choices.error(errors)
    return sorted(found.items(), key=lambda item: item[1])[:count]


def _programmed(
    errors: Float[np.ndarray, "A S S"],
    costs: Sequence[float],
    kit: tuple[int, ...],
    steps: int,
    budget: float,
) -> Choices | None:
    """Least error over (last full step, cost so far), step by step; None where nothing fits.

    Costs are rounded up to levels, so that the budget holds.
    """
    shares = np.array([costs[place] / costs[FULL] for place in (FULL, *(k + 1 for k in kit))])
    rounded = {scale: np.ceil(shares * scale - 1e-9) for scale in SCALES}
    levels = min(SCALES, key=lambda scale: float(np.sum(rounded[scale] / scale - shares)))
    weights = [int(weight) for weight in rounded[levels]]
    room = int(np.floor(budget * steps * levels + 1e-9))
    least = np.full((steps, room + 1), np.inf)
    if weights[0] > room:
        return None
    least[0, weights[0]] = 0.0
    trail = np.zeros((steps, steps, room + 1), np.int16)
    source = np.zeros((steps, room + 1), np.int16)
    for step in range(1, steps):
        following = np.full_like(least, np.inf)
        for choice, (kind, weight) in enumerate(zip(kit, weights[1:], strict=True), start=1):
            if weight > room:
                continue
            ages = np.maximum(step - np.arange(steps), 0)
            extra = np.where(np.arange(steps) < step, errors[kind, step, ages], np.inf)
            moved = least[:, : room + 1 - weight] + extra[:, None]
            better = moved < following[:, weight:]
            following[:, weight:][better] = moved[better]
            trail[step, :, weight:][better] = choice
        if weights[0] <= room:
            before = least[:step, : room + 1 - weights[0]]
            source[step, weights[0] :] = before.argmin(axis=0)
            following[step, weights[0] :] = before.min(axis=0)
        least = following
    last, level = np.unravel_index(np.argmin(least), least.shape)
    if not np.isfinite(least[last, level]):
        return None
    return _walked(kit, weights, trail, source, int(last), int(level), steps)


def _walked(
    kit: tuple[int, ...],
    weights: Sequence[int],
    trail: np.ndarray,
    source: np.ndarray,
    last: int,
    level: int,
    steps: int,
) -> Choices:
    """The choices that lead to a state, from the last step back."""
    found = [FULL] * steps
    for step in range(steps - 1, 0, -1):
        if step == last:
            last, level = int(source[step, level]), level - weights[0]
            continue
        choice = int(trail[step, last, level])
        found[step] = kit[choice - 1] + 1
        level -= weights[choice]
    return Choices(tuple(found))


def neighbours(choices: Choices, draw: np.random.Generator, count: int) -> list[Choices]:
    """Plans one change away: a full step moved by one or two, two steps exchanged, a step changed
    for another's kind. Ones that cost the same or nearly so; the caller holds the budget.
    """
    found: dict[Choices, None] = {}
    steps = np.array(choices.steps)
    for _ in range(20 * count):
        if len(found) == count or len(steps) < 3:
            break
        changed = steps.copy()
        first = int(draw.integers(1, len(steps)))
        far = int(draw.integers(1, len(steps)))
        near = int(np.clip(first + draw.choice((-2, -1, 1, 2)), 1, len(steps) - 1))
        second = near if draw.random() < 0.7 else far
        changed[[first, second]] = changed[[second, first]]
        moved = Choices(tuple(int(choice) for choice in changed))
        if moved != choices:
            found[moved] = None
    return list(found)
