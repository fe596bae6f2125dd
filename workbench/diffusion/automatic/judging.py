"""The automatic plan against hand-made lists: two fronts of time saved and quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from workbench.diffusion import step_lists
from workbench.diffusion.automatic.reuse import LARGEST_GROUP
from workbench.diffusion.automatic.survey import Survey
from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import Scheduler
from workbench.measure.intervals import Interval, bootstrap

INTERVALS = (2, 3, 4, 5, 6, 8, 10)
BRANCHES = (0, 1, 2)
# Centre and power by interval, DeepCache table 10.
CENTRES = {2: (15, 1.5), 3: (15, 1.3), 4: (15, 1.4), 5: (10, 1.5), 6: (15, 1.3), 8: (10, 1.4)}


def hand_made(steps: int) -> dict[str, Plan]:
    """Every list of the papers and every uniform one, by name.

    Encoder propagation: the four published lists, the triangular one, every m-th step. DeepCache:
    every m-th step at the three outer branches, and the centre-dense lists of its table 10.
    """
    keys = {name: step_lists.published(name, steps) for name in step_lists.FASTER_DIFFUSION_50}
    keys["triangular"] = step_lists.triangular(steps)
    uniform = {f"every {n}": step_lists.uniform(steps, n) for n in INTERVALS}
    dense = {
        f"centre-dense {n}": step_lists.centre_dense(steps, n, max(centre * steps / 50, 1), power)
        for n, (centre, power) in CENTRES.items()
        if n < steps
    }
    found = {
        f"encoder propagation, {name}": Plan.from_full_steps(
            at, steps, "decode", largest_group=LARGEST_GROUP
        )
        for name, at in (keys | uniform).items()
    }
    for branch in BRANCHES:
        lists = uniform | dense if branch == 0 else uniform
        found |= {
            f"DeepCache, branch {branch}, {name}": Plan.from_full_steps(
                at, steps, "shallow", branch=branch
            )
            for name, at in lists.items()
        }
    return found


def fewer_steps(scheduler: Scheduler, steps: int, share: float) -> int:
    """Steps of a full run that takes at most a share of `steps`; a number the sampler can make."""
    for count in range(min(steps - 1, int(share * steps + 1e-9)), 1, -1):
        try:
            scheduler.plan(count)
        except ValueError:
            continue
        return count
    return 1


def share(plan: Plan, survey: Survey, costs: tuple[float, ...]) -> float | None:
    """Cost of a plan against the full run's, from the survey's steps; None for a kind it lacks."""
    kinds = [(reuse.action, reuse.branch, reuse.inherited) for reuse in survey.reuses]
    by_kind = dict(zip(kinds, costs[1:], strict=True))
    total = 0.0
    for action in plan.actions:
        branch = plan.branch if action == "shallow" else 0
        names = plan.inherited if action == "inherit" else ()
        price = costs[0] if action == "full" else by_kind.get((action, branch, names))
        if price is None:
            return None
        total += price
    return total / (costs[0] * plan.steps)


def hypervolume(saved: Float[np.ndarray, " P"], quality: Float[np.ndarray, " P"]) -> float:
    """Area that a front dominates: ∪ [0, saved] × [0, quality], of points beyond the origin."""
    order = np.argsort(-np.asarray(saved))
    area, best = 0.0, 0.0
    for place, at in enumerate(order):
        best = max(best, float(quality[at]))
        following = float(saved[order[place + 1]]) if place + 1 < len(order) else 0.0
        area += best * (max(float(saved[at]), 0.0) - max(following, 0.0))
    return area


@dataclass(frozen=True)
class Front:
    """Plans of one origin: share of time saved, and quality by plan and seed."""

    names: tuple[str, ...]
    saved: Float[np.ndarray, " P"]
    quality: Float[np.ndarray, "P N"]

    def volume(self, seeds: np.ndarray | slice = slice(None)) -> float:
        """Hypervolume of the means over the chosen seeds."""
        return hypervolume(self.saved, self.quality[:, seeds].mean(axis=1))


def difference(front: Front, other: Front, draws: int = 2000) -> Interval:
    """Hypervolume of one front less the other's; 95 % by drawing seeds, the same for both."""
    count = front.quality.shape[1]

    def gap(seeds: np.ndarray) -> float:
        return front.volume(seeds) - other.volume(seeds)

    return bootstrap(gap, count, draws)


def sentence(gap: Interval, front: Front, other: Front) -> str:
    """What a difference says, in words."""
    ends = f"{gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}, {gap.count} seeds)"
    volumes = f"{front.volume():.4f} against {other.volume():.4f}"
    if gap.above(0):
        return f"The automatic plans dominate more: hypervolume {volumes}, {ends}."
    if gap.below(0):
        return f"The hand-made lists dominate more: hypervolume {volumes}, {ends}."
    return f"No difference is shown: hypervolume {volumes}, and the interval covers zero: {ends}."
