"""Axes: what is plotted, fixed ends, ticks and their words.

An axis that moves hides what a slider changes, so ends are round and rarely change.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from workbench.figures import numbers
from workbench.figures.chart import ChartError
from workbench.figures.text import text_width

Domain = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """What a chart plots along one axis, and how.

    Args:
        column: of the rows.
        title: the axis's name, unit in brackets; the column's name when empty.
        unit: sign behind each number in ticks, speech and table ("%").
        domain: fixed ends; round ones around the rows when None.
        scale: "linear", "log", or "nines" for a similarity or share that ends at 1: what is
            missing to 1 on a logarithmic scale, so that 0.9, 0.99 and 0.999 are equally far apart.
        words: how ticks are written: "power" for 10¹⁵, "count" for 0.3 M, empty for plain numbers.
        finest: of "nines": the distance to 1 under which the scale is linear, so that 1 itself
            has a place; the decade under the least distance in the rows when 0.

    Raises:
        ChartError: if the domain is empty or the scale unknown.
    """

    column: str
    title: str = ""
    unit: str = ""
    domain: Domain | None = None
    scale: Literal["linear", "log", "nines"] = "linear"
    words: str = ""
    finest: float = 0.0

    def __post_init__(self) -> None:
        if self.scale not in ("linear", "log", "nines"):
            raise ChartError(f'scale must be "linear", "log" or "nines": {self.scale!r}')
        if self.domain is not None:
            low, high = self.domain
            object.__setattr__(self, "domain", (float(low), float(high)))  # a record gives a list
            if low >= high:
                raise ChartError(f"a domain must go from low to high: {low}, {high}")

    @classmethod
    def of(cls, given: "str | Axis | Mapping[str, Any]") -> "Axis":
        """Returns an axis from a column's name, from what `record` gave, or as it is."""
        if isinstance(given, Axis):
            return given
        return cls(given) if isinstance(given, str) else cls(**given)

    def record(self) -> dict[str, Any]:
        """Returns the axis as plain values for a file."""
        return asdict(self)

    @property
    def name(self) -> str:
        return self.title or self.column

    @property
    def form(self) -> "Axis":
        """The axis without what its rows decide: what a chart's specification depends on."""
        return replace(self, title=self.title, domain=None, finest=0.0)

    @property
    def ends(self) -> Domain:
        """The domain of an axis that was fitted."""
        assert self.domain is not None, "an axis is fitted before it is drawn"
        return self.domain

    def fitted(self, values: Iterable[float | None], tight: bool = False) -> Self:
        """Returns the axis with its name, and its ends fixed around the values.

        Args:
            values: the data; None is left out.
            tight: whether the axis runs from the least value to the greatest.

        Raises:
            ChartError: if a value on a logarithmic axis is not positive.
        """
        known = [float(value) for value in values if value is not None]
        if self.scale == "nines":
            return self._fitted_to_one([max(1 - value, 0.0) for value in known])
        around = domain(known, self.scale == "log")
        if tight and known and min(known) < max(known):
            around = min(known), max(known)
        return replace(self, title=self.name, domain=self.domain or around)

    def _fitted_to_one(self, missing: Sequence[float]) -> Self:
        low = self.domain[0] if self.domain else 1 - _log_end(max([*missing, 0.01]), down=False)
        seen = [value for value in missing if value > 1e-6]
        decade = 10.0 ** math.floor(math.log10(min(seen))) if seen else 1e-3
        finest = self.finest or min(decade, 10.0 ** math.floor(math.log10((1 - low) / 5)))
        return replace(self, title=self.name, domain=(low, 1.0), finest=finest)

    def plotted(self, value: Any) -> Any:
        """Returns where a value stands on the scale that is drawn; itself but for "nines"."""
        if value is None or self.scale != "nines":
            return value
        return -math.log10(1 + max(1 - value, 0.0) / self.finest) + 0.0

    def written(self, value: float) -> str:
        """Returns a value in words, with its unit."""
        words = numbers.near_one(value) if self.scale == "nines" else numbers.number(value)
        return f"{words} {self.unit}".rstrip()

    def pixels(self, size: float, flip: bool = False) -> Callable[[float], float]:
        """Returns the function from a plotted value to its place in px, as the chart does it."""
        log = self.scale == "log"
        low, high = (math.log(end) if log else self.plotted(end) for end in self.ends)

        def place(value: float) -> float:
            share = ((math.log(value) if log else value) - low) / (high - low)
            return size * (1 - share if flip else share)

        return place

    def ticks(self) -> dict[str, Any]:
        """Returns ticks and their words: {"values", "labels", "room"}."""
        if self.scale == "nines":
            missing = _nines(1 - self.ends[0], self.finest)
            values = [self.plotted(1 - value) for value in missing]
            labels = [_label(1 - value, [value], self.unit, self.words) for value in missing]
        else:
            log = self.scale == "log"
            values = ticks(self.ends, log)
            if self.unit == "%" and 60 < self.ends[1] - self.ends[0] <= 150:
                first, last = math.ceil(self.ends[0] / 25), int(self.ends[1] // 25)
                values = [25.0 * part for part in range(first, last + 1)]
            labels = [
                _label(value, [value] if log else values, self.unit, self.words) for value in values
            ]
        room = max((text_width(label) for label in labels), default=0)
        return {"values": values, "labels": labels, "room": room}


def _nines(most: float, finest: float) -> list[float]:
    """Distances to 1 of the ticks: none, each decade, and the far end where it stands apart."""
    first, last = round(math.log10(finest)), math.floor(math.log10(most) + 1e-9)
    found = [0.0, *(float(f"1e{power}") for power in range(first, last + 1))]
    return [*found, round(most, 9)] if most >= 3 * found[-1] else found


def domain(values: Iterable[float | None], log: bool = False, zero: bool = False) -> Domain:
    """Returns a round domain that holds the values, with a little air.

    Args:
        values: the data; None is left out.
        log: whether the axis is logarithmic; then the ends are powers of ten times 1, 2 or 5.
        zero: whether zero is included (bars).

    Raises:
        ChartError: if a value on a logarithmic axis is not positive.
    """
    known = [float(value) for value in values if value is not None]
    if not known:
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = min(known), max(known)
    if log:
        if low <= 0:
            raise ChartError(f"a logarithmic axis needs positive values: {low}")
        return _log_end(low, down=True), _log_end(high, down=False)
    if zero or 0 <= low < 0.3 * high:
        low = min(low, 0.0)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-12):
        size = max(abs(high), 1e-9) / 2  # one value stands in the middle
        low, high = low - size, high + size
    step = tick_step(low, high)
    air = 0.02 * (high - low)
    bottom = low if low == 0 else math.floor((low - air) / step) * step
    top = math.ceil((high + air) / step) * step
    if 0 < high <= 1 and top > 1:
        top = 1.0  # a share or a similarity ends at one
    return _round(bottom, step), _round(top, step)


def tick_step(low: float, high: float, count: int = 5) -> float:
    """Returns the step of 1, 2 or 5 times a power of ten that gives about `count` ticks."""
    span = high - low or abs(high) or 1.0
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    return min((power * size for size in (1, 2, 5, 10)), key=lambda size: abs(size - rough))


def ticks(ends: Domain, log: bool = False, count: int = 5) -> list[float]:
    """Returns the tick values of a domain; decades on a logarithmic axis of two or more."""
    low, high = ends
    if not log:
        step = tick_step(low, high, count)
        first = math.ceil(low / step - 1e-9)
        last = math.floor(high / step + 1e-9)
        return [_round(place * step, step) for place in range(first, last + 1)]
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    sizes = (1,) if high / low >= 100 else (1, 3) if high / low >= 20 else (1, 2, 5)
    found = [float(f"{size}e{power}") for power in powers for size in sizes]
    found = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    every = max(1, math.ceil(len(found) / 7))
    return found[::every]


def _label(value: float, values: Sequence[float], unit: str, style: str) -> str:
    if style == "power":
        written = numbers.number(float(f"{value:.3e}"), 1) if value else "0"
        power = math.log10(value) if value > 0 else 0
        if value > 0 and abs(power - round(power)) < 1e-9:
            written = "10" + str(round(power)).translate(numbers.SUPERSCRIPT)
    elif style == "count":
        written = numbers.setting_count(value)
    else:
        places = max((_places(other) for other in values), default=0)
        written = f"{abs(value):,.{places}f}".replace(",", numbers.THIN)
        written = (numbers.MINUS if value < 0 else "") + written
        if len(written) > 7 and (abs(value) >= 1e6 or 0 < abs(value) < 1e-4):
            written = numbers.number(value)
    return f"{written} {unit}".strip()


def _places(value: float) -> int:
    text = f"{value:.10g}"
    if "e-" in text:
        mantissa, power = text.split("e-")
        return int(power) + len(mantissa.partition(".")[2])
    return len(text.partition(".")[2])


def _round(value: float, step: float) -> float:
    return round(value, max(0, 2 - math.floor(math.log10(step)))) + 0.0


def _log_end(value: float, down: bool) -> float:
    power = math.floor(math.log10(value))
    choices = [float(f"{size}e{p}") for p in (power - 1, power, power + 1) for size in (1, 2, 5)]
    if down:
        return max(choice for choice in choices if choice <= value * 0.96)
    return min(choice for choice in choices if choice >= value * 1.04)
