"""Study: what is compared, on which inputs, over which seeds, and what is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.runs import identity
from workbench.study.method import Method, Subject, digest
from workbench.study.tables import Column

if TYPE_CHECKING:
    from workbench.measure.memory import PeakMemory

Outputs = dict[str, np.ndarray]
Better = Literal["higher", "lower", ""]


@dataclass(frozen=True)
class Outcome:
    """What a probe sees: one method's outputs beside the baseline's, for the same seeds.

    Args:
        draw: makes the inputs of seeds; `inputs` are those of this outcome.
        outputs: arrays whose leading axis runs over `seeds`.
        reference: the baseline's outputs for the same seeds (the same object for the baseline).
        artifact: what `prepare` returned, for the first seed where it depends on the seed; None
            where the outputs came from the cache.
    """

    method: Method
    subject: Any
    seeds: tuple[int, ...]
    draw: Callable[[tuple[int, ...]], Any]
    outputs: Outputs
    reference: Outputs
    artifact: Any = None

    @cached_property
    def inputs(self) -> Any:
        """What `apply` was given for these seeds."""
        return self.draw(self.seeds)


@dataclass(frozen=True)
class Probe:
    """A named question about an outcome.

    Args:
        name: column name, `quality.<name>` in the trials table.
        measure: maps an `Outcome` to one value per seed; to `[seeds, points]` at level "series";
            to one number for all seeds at level "population" (a diversity, a distance between
            distributions), whose interval comes from leaving out one seed at a time.
        better: which direction is better; "" where neither is.
        tolerance: the largest loss that still counts as equal, in the probe's unit.
        axis: what a series runs over ("step", "layer").
        relative: whether the value compares with the baseline's output already, so that nothing is
            to be subtracted: it stands for itself, and decides no verdict.
        share: whether each seed's value is a yes or a no, as 100 or 0 where the unit is %, else 1
            or 0: its intervals are those of a share, never of no width where all seeds agree.
    """

    name: str
    measure: Callable[[Outcome], Any]
    unit: str = ""
    better: Better = "higher"
    tolerance: float = 0.0
    level: Literal["trial", "series", "population"] = "trial"
    axis: str = ""
    label: str = ""
    share: bool = False
    relative: bool = False

    @property
    def column(self) -> str:
        return f"quality.{self.name}"

    @property
    def meaning(self) -> Column:
        """What its column means in the tables."""
        return Column(
            self.unit,
            "measured",
            self.better,
            self.label,
            self.tolerance,
            share=self.share,
            relative=self.relative,
        )


@dataclass(frozen=True)
class Study:
    """One subject, its inputs, its seeds, and its probes; the first probe decides the verdict.

    Args:
        inputs: makes the inputs of a group of seeds; with `batch` 1 a group is one seed.
        batch: how many seeds run together where the method does not depend on the seed.
        data: fingerprint of whatever `inputs` draws from; when empty, the source of `inputs` and
            what it closes over stand for it.
        derive: more arrays made from a method's outputs once, for probes to share (features).
        peak: memory a method needs, measured in a fresh process, or None where it cannot be told;
            left out where memory is not asked for.
        dtype: the float type methods compute in, by which the device's peak rate is chosen.
    """

    name: str
    subject: Subject
    inputs: Callable[[tuple[int, ...]], Any]
    seeds: tuple[int, ...]
    probes: tuple[Probe, ...]
    batch: int = 1
    data: str = ""
    derive: Callable[[Outputs], Outputs] | None = None
    peak: Callable[[Method], PeakMemory | None] | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", tuple(int(seed) for seed in self.seeds))
        object.__setattr__(self, "probes", tuple(self.probes))
        if not self.seeds:
            raise ValueError("seeds is empty; give at least one seed, such as seeds=range(8)")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds repeats a seed: {self.seeds}")
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1. You gave {self.batch}")
        names = [probe.name for probe in self.probes]
        if len(set(names)) != len(names):
            raise ValueError(f"two probes share a name: {names}")

    @cached_property
    def fingerprint(self) -> str:
        """Names the inputs and the subject; seeds and probes may be added without losing work.

        Raises:
            TypeError: where `inputs` uses what has no content to compare and `data` is empty.
        """
        data = self.data or _fingerprint_of(self.inputs)
        return digest({"subject": self.subject.fingerprint, "data": data, "study": self.name})

    def groups(self, method: Method) -> Iterator[tuple[int, ...]]:
        """Seeds that run together under this method."""
        size = 1 if method.seeded else self.batch
        for start in range(0, len(self.seeds), size):
            yield self.seeds[start : start + size]

    def probe(self, name: str) -> Probe:
        """The probe of that name.

        Raises:
            KeyError: naming the probes there are.
        """
        for probe in self.probes:
            if probe.name == name:
                return probe
        raise KeyError(f"no probe {name!r}; there are {[p.name for p in self.probes]}")


def _fingerprint_of(inputs: Callable[[tuple[int, ...]], Any]) -> str:
    try:
        return identity.digest(inputs)
    except TypeError as problem:
        raise TypeError(
            f"inputs of a study: {problem}; or give the study `data`, a text that changes when "
            "the data does"
        ) from None


def as_outputs(value: Any) -> Outputs:
    """Outputs of `apply` as named host arrays; a bare array is called "output"."""
    if not isinstance(value, Mapping):
        value = {"output": value}
    return {name: np.asarray(array) for name, array in value.items()}


def join(parts: Sequence[Outputs]) -> Outputs:
    """Outputs of several groups of seeds, one after another."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
