"""Arithmetic of a sampling plan, from the counted cost of its pieces. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from workbench.diffusion.plan import Plan


@dataclass(frozen=True)
class PartCost:
    """Multiply-accumulates of one piece of work for one sample, in both conventions."""

    macs: float
    no_bmm: float

    def __add__(self, other: PartCost) -> PartCost:
        return PartCost(self.macs + other.macs, self.no_bmm + other.no_bmm)

    def __mul__(self, times: float) -> PartCost:
        return PartCost(self.macs * times, self.no_bmm * times)


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
    """

    full: PartCost
    decode: PartCost
    shallow: tuple[PartCost, ...]
    feature_bytes: int
    branch_bytes: tuple[int, ...]
    widest_bytes: int

    def group_bytes(self, group: int, passes: int, batch: int) -> int:
        """Bytes a decoder pass over `group` steps as one batch needs at about its peak.

        All features tiled to the group, and the widest decoder layer's input, output and two
        convolution temporaries of the same size (our estimate; XLA's own figure needs a compile).
        """
        return (self.feature_bytes + 4 * self.widest_bytes) * group * batch * passes

    def steps(self, plan: Plan) -> list[PartCost]:
        """Cost of each step of a plan."""
        partial = self.shallow[plan.branch] if "shallow" in plan.actions else self.full
        costs = {"full": self.full, "decode": self.decode, "shallow": partial}
        return [costs[action] for action in plan.actions]

    def run(self, plan: Plan) -> PartCost:
        """Cost of a whole run."""
        return sum(self.steps(plan), PartCost(0.0, 0.0))

    def kept_bytes(self, plan: Plan) -> int:
        """Bytes a plan keeps from a full step for later ones."""
        if "decode" in plan.actions:
            return self.feature_bytes
        return self.branch_bytes[plan.branch] if "shallow" in plan.actions else 0

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
        )
