"""Arithmetic of a sampling plan, from the counted cost of its pieces. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

from workbench.diffusion.plan import Plan, matching


@dataclass(frozen=True)
class PartCost:
    """Multiply-accumulates of one piece of work for one sample, in both conventions."""

    macs: float
    no_bmm: float

    def __add__(self, other: PartCost) -> PartCost:
        return PartCost(self.macs + other.macs, self.no_bmm + other.no_bmm)

    def __sub__(self, other: PartCost) -> PartCost:
        return PartCost(self.macs - other.macs, self.no_bmm - other.no_bmm)

    def __mul__(self, times: float) -> PartCost:
        return PartCost(self.macs * times, self.no_bmm * times)


@dataclass(frozen=True)
class NodeCost:
    """One layer of a UNet: what it reads, costs and hands on.

    Args:
        block: the block it stands in; its own name for the first and the last layer.
        inputs: names of the layers it reads.
        bytes: of its value.
        units: cost and bytes of each residual branch inside.
    """

    name: str
    block: str
    inputs: tuple[str, ...]
    cost: PartCost
    bytes: int
    units: Mapping[str, tuple[PartCost, int]]

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self:
        """What `UnitCosts.record` holds of it."""
        units = {name: (PartCost(**cost), size) for name, (cost, size) in record["units"].items()}
        inputs, cost = tuple(record["inputs"]), PartCost(**record["cost"])
        return cls(record["name"], record["block"], inputs, cost, record["bytes"], units)


@dataclass(frozen=True)
class UnitCosts:
    """What the pieces of one UNet cost and keep, one sample, one pass.

    Args:
        full: a whole pass.
        decode: up blocks and output only.
        shallow: DeepCache's partial pass, by branch.
        feature_bytes: all encoder features and the middle block's output.
        branch_bytes: the hidden state kept for shallow steps, by branch.
        widest_bytes: the largest hidden state of the decoder.
        nodes: every layer, in execution order; empty where only the others were counted.
    """

    full: PartCost
    decode: PartCost
    shallow: tuple[PartCost, ...]
    feature_bytes: int
    branch_bytes: tuple[int, ...]
    widest_bytes: int
    nodes: tuple[NodeCost, ...] = ()

    def group_bytes(self, group: int, passes: int, batch: int) -> int:
        """Bytes a decoder pass over `group` steps as one batch needs at about its peak.

        All features tiled to the group, and the widest decoder layer's input, output and two
        convolution temporaries of the same size (our estimate; XLA's own figure needs a compile).
        """
        return (self.feature_bytes + 4 * self.widest_bytes) * group * batch * passes

    def steps(self, plan: Plan) -> list[PartCost]:
        """Cost of each step of a plan."""
        costs = {"full": self.full, "decode": self.decode}
        if "shallow" in plan.actions:
            costs["shallow"] = self.shallow[plan.branch]
        if "inherit" in plan.actions:
            costs["inherit"] = self.inherit(plan.inherited)
        return [costs[action] for action in plan.actions]

    def inherit(self, names: Iterable[str]) -> PartCost:
        """Cost of a pass that takes the named values (or patterns) from an earlier one.

        Raises:
            PlanError: a name the UNet does not have.
        """
        places = set(self._places(names))
        live, skipped = self._live(places), PartCost(0.0, 0.0)
        for node in self.nodes:
            if node.name not in live:
                skipped = skipped + node.cost
                continue
            for unit in places & node.units.keys():
                skipped = skipped + node.units[unit][0]
        return self.full - skipped

    def inherited_bytes(self, names: Iterable[str]) -> int:
        """Bytes of the named values, each counted once."""
        sizes = {node.name: node.bytes for node in self.nodes}
        sizes |= {unit: size for node in self.nodes for unit, (_, size) in node.units.items()}
        return sum(sizes[place] for place in set(self._places(names)))

    def _places(self, names: Iterable[str]) -> list[str]:
        """The layers and units that names stand for: a down block for all it pushes, another
        block for its last layer."""
        return [place for name in matching(names, self._known) for place in self._known[name]]

    def idle_blocks(self, names: Iterable[str]) -> tuple[str, ...]:
        """Blocks of which nothing runs in a pass that takes the named values from before."""
        live = self._live(set(self._places(names)))
        busy = {node.block for node in self.nodes if node.name in live}
        return tuple(dict.fromkeys(n.block for n in self.nodes if n.block not in busy))

    def _live(self, places: set[str]) -> set[str]:
        needed, live = {self.nodes[-1].name}, set()
        for node in reversed(self.nodes):
            if node.name in needed and node.name not in places:
                live.add(node.name)
                needed.update(node.inputs)
        return live

    @cached_property
    def _known(self) -> dict[str, tuple[str, ...]]:
        blocks: dict[str, tuple[str, ...]] = {}
        for node in self.nodes:
            before = blocks.get(node.block, ()) if node.block.startswith("down.") else ()
            blocks[node.block] = (*before, node.name)
        own = {node.name: (node.name,) for node in self.nodes}
        return blocks | own | {unit: (unit,) for node in self.nodes for unit in node.units}

    def run(self, plan: Plan) -> PartCost:
        """Cost of a whole run."""
        return sum(self.steps(plan), PartCost(0.0, 0.0))

    def kept_bytes(self, plan: Plan) -> int:
        """Bytes a plan keeps from a full step for later ones."""
        kinds = set(plan.actions)
        total = self.feature_bytes if "decode" in kinds else 0
        total += self.branch_bytes[plan.branch] if "shallow" in kinds else 0
        return total + (self.inherited_bytes(plan.inherited) if "inherit" in kinds else 0)

    def record(self) -> dict[str, Any]:
        """As plain values for a file."""
        return asdict(self)

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> Self:
        """What `record` gave."""
        return cls(
            PartCost(**record["full"]),
            PartCost(**record["decode"]),
            tuple(PartCost(**part) for part in record["shallow"]),
            record["feature_bytes"],
            tuple(record["branch_bytes"]),
            record["widest_bytes"],
            tuple(NodeCost.of_record(node) for node in record.get("nodes", ())),
        )
