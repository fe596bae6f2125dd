"""What is measured once on a pipeline before any plan is chosen for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from workbench.diffusion.automatic.reuse import Reuse


@dataclass(frozen=True)
class Survey:
    """Movement, damage and cost of one pipeline under one sampler.

    Args:
        reuses: kinds of reusing steps.
        ages: steps since the full one at which damage was measured.
        damage: change of the guided output by reuse, relative to the final sample's size, a mean
            over seeds; NaN where no full step lies that far back or none was measured.
        gain: how far the final sample moves for a unit change of the output at each step, the
            network's own answer to it left out.
        seconds: of one step, the full one first, then each reuse; fastest repeat.
        macs: the same in operations, one sample, one pass.
        moved: mean relative change of each layer's value from one step to the next.
        drift: relative change of each block at each step.
        seeds: pictures it was measured on.
        device: label of the machine that was timed.
        processor: of that machine, see `evidence.timed_by`; empty where it was not noted.
    """

    steps: int
    reuses: tuple[Reuse, ...]
    ages: tuple[int, ...]
    damage: Float[np.ndarray, "A S G"]
    gain: Float[np.ndarray, " S"]
    seconds: tuple[float, ...]
    macs: tuple[float, ...]
    moved: Mapping[str, float]
    drift: Mapping[str, list[float | None]]
    seeds: tuple[int, ...]
    device: str
    date: str
    processor: str = ""

    @property
    def well_timed(self) -> bool:
        """Whether no partial step took longer than a full one; else the clock was disturbed."""
        return max(self.seconds) <= 1.05 * self.seconds[0]

    def errors(self) -> Float[np.ndarray, "A S S"]:
        """Expected change of the final sample by one reusing step, by kind, step and age.

        Damage times gain. Between measured steps and ages it is interpolated; beyond the last age
        it grows as between the last two.
        """
        damage = self._at_every_step()
        found = np.full((len(self.reuses), self.steps, self.steps), np.inf)
        for kind in range(len(self.reuses)):
            for step in range(1, self.steps):
                ages = np.arange(1, step + 1)
                found[kind, step, 1 : step + 1] = self.gain[step] * self._by_age(
                    damage[kind, step], step, ages
                )
        return found

    def _at_every_step(self) -> Float[np.ndarray, "A S G"]:
        found, every = self.damage.copy(), np.arange(self.steps)
        for kind in range(len(self.reuses)):
            for place in range(len(self.ages)):
                values = self.damage[kind, :, place]
                known = np.isfinite(values)
                if known.any():
                    found[kind, :, place] = np.interp(every, every[known], values[known])
        return found

    def _by_age(self, measured: np.ndarray, step: int, ages: np.ndarray) -> np.ndarray:
        known = [place for place, age in enumerate(self.ages) if age <= step]
        at = np.array([self.ages[place] for place in known], dtype=float)
        values = measured[known]
        found = np.interp(ages, at, values)
        if len(at) > 1:
            slope = max(0.0, (values[-1] - values[-2]) / (at[-1] - at[-2]))
            found = found + slope * np.maximum(0, ages - at[-1])
        return found

    def record(self) -> dict[str, Any]:
        """As plain values for a file."""
        found = asdict(self)
        found["reuses"] = [reuse.record() for reuse in self.reuses]
        damage = [[[_plain(v) for v in row] for row in kind] for kind in self.damage.tolist()]
        found |= {"damage": damage, "gain": self.gain.tolist(), "moved": dict(self.moved)}
        return found

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self:
        """What `record` gave."""
        found = dict(record)
        found["reuses"] = tuple(Reuse.of_record(reuse) for reuse in record["reuses"])
        found["damage"] = np.array(record["damage"], dtype=float)
        found["gain"] = np.array(record["gain"], dtype=float)
        for name in ("ages", "seconds", "macs", "seeds"):
            found[name] = tuple(record[name])
        return cls(**found)


def _plain(value: float) -> float | None:
    """Six digits; JSON has no NaN."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
