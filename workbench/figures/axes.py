"""Fixed domains, ticks and axis words: an axis that moves hides what a slider changes."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from workbench.figures import numbers
from workbench.figures.chart import ChartError
from workbench.figures.text import text_width

Domain = tuple[float, float]


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


def axis(
    title: str, ends: Domain, log: bool = False, unit: str = "", style: str = ""
) -> dict[str, Any]:
    """Returns ticks and their words: {"title", "values", "labels", "room"}.

    Args:
        title: what the axis shows, unit in brackets.
        ends: the domain.
        log: whether the axis is logarithmic.
        unit: sign behind each tick's number ("%").
        style: "power" for 10¹⁵, "count" for 0.3 M; empty for plain numbers.
    """
    values = ticks(ends, log)
    if unit == "%" and 60 < ends[1] - ends[0] <= 150:
        values = [25.0 * part for part in range(math.ceil(ends[0] / 25), int(ends[1] // 25) + 1)]
    labels = [_label(value, [value] if log else values, unit, style) for value in values]
    room = max((text_width(label) for label in labels), default=0)
    return {"title": title, "values": values, "labels": labels, "room": room}


def label_expression(values: Sequence[float], labels: Sequence[str]) -> str:
    """Returns the Vega expression that writes each tick's word."""
    cases = "".join(
        f"abs(datum.value - {value!r}) <= {abs(value) * 1e-9!r} ? '{label}' : "
        for value, label in zip(values, labels, strict=True)
    )
    return f"{cases}''"


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
