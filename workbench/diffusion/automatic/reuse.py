"""Kinds of reusing steps among which the automatic plan chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

from workbench.diffusion.arithmetic import PartCost, UnitCosts
from workbench.diffusion.plan import Action, Plan

LARGEST_GROUP = 8
"""Decoder passes in one batch, as for encoder propagation."""
MOST_SHARE = 0.95
"""A step that computes more of a full one than this saves nothing worth looking at."""
STILL_SHARES = (0.2, 0.4, 0.6, 0.8)
"""Parts of a pass's operations that the sets of stillest layers skip, about."""
OVERSHOOT = 0.1


@dataclass(frozen=True)
class Reuse:
    """One kind of step that reuses the last full one."""

    action: Action
    branch: int = 0
    inherited: tuple[str, ...] = ()

    def plan(self, steps: int = 2) -> Plan:
        """Step 0 in full and all others of this kind."""
        actions: tuple[Action, ...] = ("full", *[self.action] * (steps - 1))
        return Plan(actions, self.branch, LARGEST_GROUP, inherited=self.inherited)

    def cost(self, costs: UnitCosts) -> PartCost:
        """Of one such step."""
        return costs.steps(self.plan())[1]

    def record(self) -> dict[str, Any]:
        """As plain values for a file."""
        return {
            "action": self.action, "branch": self.branch, "inherited": list(self.inherited)
        }  # fmt: skip

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self:
        """What `record` gave."""
        return cls(record["action"], record["branch"], tuple(record["inherited"]))


def candidates(costs: UnitCosts, moved: Mapping[str, float]) -> tuple[Reuse, ...]:
    """Decoding, every branch, and sets of the stillest layers, as far as each saves operations.

    Args:
        moved: mean relative change of each layer's value from one step to the next.
    """
    found = [Reuse("decode"), *(Reuse("shallow", b) for b in range(len(costs.shallow)))]
    found += [Reuse("inherit", inherited=names) for names in still_sets(costs, moved)]
    kept, seen = [], set()
    for reuse in found:
        macs = reuse.cost(costs).macs
        if macs <= MOST_SHARE * costs.full.macs and macs not in seen:
            kept.append(reuse)
            seen.add(macs)
    return tuple(kept)


def still_sets(costs: UnitCosts, moved: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Nested sets of layers whose values move least for the operations they skip.

    For each share of the pass, layers join one by one until about so much is skipped: each time
    the one that skips most for how far it moves, of those that do not overshoot.
    """
    sets: list[tuple[str, ...]] = []
    chosen: tuple[str, ...] = ()
    layers = [node.name for node in costs.nodes if node.units and node.name in moved]
    for share in STILL_SHARES:
        while (skipped := _skipped(costs, chosen)) < share:
            more = {name: _skipped(costs, (*chosen, name)) for name in layers if name not in chosen}
            gains = {
                name: (whole - skipped) / max(moved[name], 1e-9)
                for name, whole in more.items()
                if skipped < whole <= share + OVERSHOOT
            }
            if not gains:
                break
            chosen = (*chosen, max(gains, key=lambda name: gains[name]))
        if chosen and chosen not in sets:
            sets.append(chosen)
    return sets


def _skipped(costs: UnitCosts, names: tuple[str, ...]) -> float:
    """Share of a pass's operations that inheriting the names leaves out."""
    return 1 - costs.inherit(names).macs / costs.full.macs


def kits(reuses: Sequence[Reuse]) -> list[tuple[int, ...]]:
    """Which kinds may meet in one plan: decoding, one branch and one set, or fewer; as places."""
    groups = {
        action: [i for i, reuse in enumerate(reuses) if reuse.action == action]
        for action in ("decode", "shallow", "inherit")
    }
    none: list[int | None] = [None]
    every = product(
        [*groups["decode"]] or none, [*none, *groups["shallow"]], [*none, *groups["inherit"]]
    )
    found = [tuple(i for i in kit if i is not None) for kit in every]
    return [kit for kit in found if kit]
