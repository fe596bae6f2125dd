"""The cost of a piece of work: one frozen record with units, addition and scaling."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Basis = Literal["measured", "modelled"]
ThroughputKind = Literal["", "TT", "ST", "IT"]

PREFIX = "cost."


@dataclass(frozen=True)
class CostField:
    """What a table or a chart must know about one field of :class:`Cost`.

    Attributes:
        name: field name, for example ``"macs"``.
        long_name: the label of an axis.
        unit: SI unit, "" for a plain ratio.
        better: "lower", "higher", or "" where neither is meant.
        joins: how two pieces of work done one after the other combine: "sum", "max", "mean"
            (over time) or "same" (kept when equal, else unknown).
        counted: true where the figure always follows from shapes and never from a clock.
        help: one sentence, with the definition.
    """

    name: str
    long_name: str
    unit: str
    better: Literal["lower", "higher", ""]
    joins: Literal["sum", "max", "mean", "same"]
    counted: bool
    help: str

    @property
    def column(self) -> str:
        """Name of this field's column in the trials table, for example ``"cost.macs"``."""
        return PREFIX + self.name


def _cost(
    long_name: str,
    unit: str,
    better: Literal["lower", "higher", ""],
    joins: Literal["sum", "max", "mean", "same"],
    help: str,
    *,
    counted: bool = False,
) -> Any:
    facts = {"long_name": long_name, "unit": unit, "better": better, "joins": joins}
    return field(default=None, metadata={**facts, "help": help, "counted": counted})


@dataclass(frozen=True)
class Cost:
    """The cost of one unit of work (one image, one step, one run); ``None`` means not known.

    Six quantities are those of EfficientLLM (arXiv 2505.13840): AMU, PCU, AL (which is
    ``latency``), throughput (TT, ST or IT by ``throughput_kind``), AEC and MCR. ``basis`` tells
    whether the clock-bound figures were measured or follow from a model; counted figures (MACs,
    bytes) are "modelled" in either case, see :meth:`basis_of`.

    ``a + b`` is the cost of doing a, then b; ``n * a`` of doing a n times. An unknown part makes
    the whole unknown: a sum never silently leaves something out.

    Raises:
        ValueError: for a field that is NaN or negative, or an unknown basis or throughput kind.
    """

    macs: float | None = _cost(
        "multiply-accumulates", "MAC", "lower", "sum",
        "All multiply-accumulates, attention score and value products included.", counted=True,
    )  # fmt: skip
    macs_no_bmm: float | None = _cost(
        "multiply-accumulates without attention products", "MAC", "lower", "sum",
        "Multiply-accumulates without products of two activations, the convention of DeepCache.",
        counted=True,
    )  # fmt: skip
    bytes_moved: float | None = _cost(
        "bytes moved", "B", "lower", "sum",
        "Bytes read from and written to main memory.", counted=True,
    )  # fmt: skip
    latency: float | None = _cost(
        "latency", "s", "lower", "sum",
        "Time of one unit of work, warm, compilation left out (AL): the median of the repeats.",
    )  # fmt: skip
    latency_low: float | None = _cost(
        "latency, low end", "s", "lower", "sum", "Fastest of the repeats."
    )
    latency_high: float | None = _cost(
        "latency, high end", "s", "lower", "sum", "Slowest of the repeats."
    )
    compile: float | None = _cost(
        "compile time", "s", "lower", "sum",
        "Time of the first call beyond a warm one: less where parts were compiled or kept before.",
    )  # fmt: skip
    peak_memory: float | None = _cost(
        "peak memory", "B", "lower", "max",
        "Highest memory in use above what the process held before.",
    )  # fmt: skip
    model_bytes: float | None = _cost(
        "size of the model", "B", "lower", "same",
        "Bytes of the weights as stored or sent.", counted=True,
    )  # fmt: skip
    cache_bytes: float | None = _cost(
        "cache", "B", "lower", "max",
        "Bytes kept between calls (features, keys and values, states).", counted=True,
    )  # fmt: skip
    attainable: float | None = _cost(
        "least time by the roofline", "s", "lower", "sum",
        "Time the device's peak rates allow at best for the MACs and the bytes moved; a bound.",
    )  # fmt: skip
    efficiency: float | None = _cost(
        "share of the roofline", "", "higher", "mean",
        "Least time by the roofline over the latency.",
    )  # fmt: skip
    memory_utilisation: float | None = _cost(
        "memory utilisation (AMU)", "", "", "mean",
        "AMU: mean over time of memory in use, as a fraction of the device's memory.",
    )  # fmt: skip
    compute_utilisation: float | None = _cost(
        "compute utilisation (PCU)", "", "higher", "mean",
        "PCU: mean over time of achieved arithmetic, as a fraction of the device's peak.",
    )  # fmt: skip
    throughput: float | None = _cost(
        "throughput", "1/s", "higher", "same",
        "TT: tokens per parameter per second of training. ST: samples per parameter per second "
        "of fine-tuning. IT: generated tokens (or images) per second.",
    )  # fmt: skip
    power: float | None = _cost(
        "mean power (AEC)", "W", "lower", "mean",
        "AEC: mean power over the work, only where a sensor was read.",
    )  # fmt: skip
    compression: float | None = _cost(
        "compression rate (MCR)", "", "higher", "same",
        "MCR: (size before / size after) x (quality after / quality before).",
    )  # fmt: skip
    throughput_kind: ThroughputKind = ""
    basis: Basis = "modelled"

    def __post_init__(self) -> None:
        if self.basis not in ("measured", "modelled"):
            raise ValueError(f'basis is {self.basis!r}; it must be "measured" or "modelled"')
        if self.throughput_kind not in ("", "TT", "ST", "IT"):
            raise ValueError(
                f'throughput_kind is {self.throughput_kind!r}; it must be "TT" (training), '
                '"ST" (fine-tuning), "IT" (inference) or ""'
            )
        for entry in FIELDS:
            value = getattr(self, entry.name)
            if value is not None and (math.isnan(value) or value < 0):
                raise ValueError(
                    f"{entry.name} is {value}; a cost is a number >= 0, or None where not known"
                )

    @staticmethod
    def fields() -> tuple[CostField, ...]:
        """Name, label, unit and direction of every numeric field, in display order."""
        return FIELDS

    def basis_of(self, name: str) -> Basis:
        """Whether field ``name`` of this cost was measured; what is counted never is."""
        return "modelled" if field_of(name).counted else self.basis

    @property
    def energy(self) -> float | None:
        """Energy of one unit of work [J] = mean power x latency, None where either is unknown."""
        if self.power is None or self.latency is None:
            return None
        return self.power * self.latency

    def __add__(self, other: object) -> Cost:
        if not isinstance(other, Cost):
            return NotImplemented
        joined = {entry.name: _join(entry, self, other) for entry in FIELDS}
        both_measured = self.basis == other.basis == "measured"
        kind = self.throughput_kind if self.throughput_kind == other.throughput_kind else ""
        if not kind:
            joined["throughput"] = None
        return Cost(
            **joined, throughput_kind=kind, basis="measured" if both_measured else "modelled"
        )

    def __radd__(self, other: object) -> Cost:
        # sum() starts from the number 0.
        return self if other == 0 else NotImplemented

    def __mul__(self, times: float) -> Cost:
        """Cost of doing the same work ``times`` times, one after the other."""
        if not isinstance(times, (int, float)):
            return NotImplemented
        if not times >= 0:
            raise ValueError(f"times is {times}; work is repeated a number of times >= 0")
        scaled = {
            entry.name: value * times
            for entry in FIELDS
            if entry.joins == "sum" and (value := getattr(self, entry.name)) is not None
        }
        return dataclasses.replace(self, **scaled)

    __rmul__ = __mul__

    def replace(self, **changes: Any) -> Cost:
        """The same cost with some fields changed."""
        return dataclasses.replace(self, **changes)

    def ratio(self, baseline: Cost) -> dict[str, float]:
        """This cost over ``baseline``, field by field, where both are known and it is not zero.

        ``cost.ratio(full)["macs"]`` is 0.73 where 27 % of the arithmetic is saved.
        """
        pairs = ((f.name, getattr(self, f.name), getattr(baseline, f.name)) for f in FIELDS)
        return {name: ours / theirs for name, ours, theirs in pairs if ours is not None and theirs}

    def known(self) -> dict[str, float]:
        """The fields that are known, by name."""
        values = ((entry.name, getattr(self, entry.name)) for entry in FIELDS)
        return {name: value for name, value in values if value is not None}

    def as_columns(self) -> dict[str, float]:
        """The known fields as columns of the trials table: ``{"cost.macs": 4.0e11, ...}``."""
        return {PREFIX + name: value for name, value in self.known().items()}

    @classmethod
    def from_columns(cls, row: Mapping[str, Any], *, basis: Basis = "modelled") -> Cost:
        """The cost in one row of a trials table; missing and NaN columns are unknown."""
        values: dict[str, Any] = {}
        for entry in FIELDS:
            value = row.get(entry.column)
            if value is not None and not math.isnan(value):
                values[entry.name] = float(value)
        return cls(**values, basis=basis)


FIELDS: tuple[CostField, ...] = tuple(
    CostField(name=entry.name, **entry.metadata)
    for entry in dataclasses.fields(Cost)
    if "long_name" in entry.metadata
)


def field_of(name: str) -> CostField:
    """The metadata of one field, by its name or its column.

    Raises:
        ValueError: where there is no such field.
    """
    for entry in FIELDS:
        if name in (entry.name, entry.column):
            return entry
    raise ValueError(f"no cost field {name!r}; there are {', '.join(e.name for e in FIELDS)}")


def _join(entry: CostField, first: Cost, second: Cost) -> float | None:
    a, b = getattr(first, entry.name), getattr(second, entry.name)
    if a is None or b is None:
        return None
    if entry.joins == "sum":
        return a + b
    if entry.joins == "max":
        return max(a, b)
    if entry.joins == "same" or a == b:
        return a if a == b else None
    if first.latency is None or second.latency is None or first.latency + second.latency == 0:
        return None
    return (a * first.latency + b * second.latency) / (first.latency + second.latency)
