"""How numbers are written: three significant digits, thin spaces, a real minus, units.

The same rules stand in `panels/static/chart_numbers.js`, for numbers that only the browser knows.
"""

import math

THIN = "\u2009"
MINUS = "\u2212"
TIMES = "\u00d7"
ABOUT = "\u2248"

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3) -> str:
    """Writes a number with `digits` significant digits: 16 384, −0.672, 1.2 × 10¹⁷."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}∞"
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if power >= 6 or power < -4:
        return _scientific(value, digits)
    places = max(0, digits - 1 - power)
    written = f"{abs(value):,.{places}f}".replace(",", THIN)
    if float(value).is_integer() and "." in written:
        written = written.split(".")[0]
    return (MINUS if value < 0 else "") + written


def near_one(value: float) -> str:
    """Writes a share just under 1 so that two digits of what is missing show: 0.99975."""
    missing = 1 - value
    if not 0 < missing < 0.1:
        return number(value)
    return f"{value:.{1 - math.floor(math.log10(missing))}f}"


def setting(value: float) -> str:
    """Writes a chosen value, where trailing zeros say nothing: 0.003, 7.5."""
    written = number(value)
    if "." in written and TIMES not in written:
        return written.rstrip("0").rstrip(".")
    return written


def _scientific(value: float, digits: int) -> str:
    mantissa, power = f"{abs(value):.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    exponent = str(int(power)).translate(SUPERSCRIPT)
    sign = MINUS if value < 0 else ""
    if mantissa == "1":
        return f"{sign}10{exponent}"
    return f"{sign}{mantissa} {TIMES} 10{exponent}"


def count(value: float) -> str:
    """Writes a count with K, M, B or T: 9.8 M."""
    if value is None or math.isnan(value):
        return "–"
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{number(value / size)} {letter}"
    return number(value)


def seconds(value: float) -> str:
    """Writes a time in ns, µs, ms, s, min or h: 31.2 ms, 4.2 min."""
    if value is None or math.isnan(value):
        return "–"
    size = abs(value)
    if size == 0 or 1 <= size < 120:
        return f"{number(value)} s"
    if size >= 7200:
        return f"{number(value / 3600)} h"
    if size >= 120:
        return f"{number(value / 60)} min"
    for factor, unit in ((1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        if size * factor >= 1 or unit == "ns":
            return f"{number(value * factor)} {unit}"
    raise AssertionError("unreachable")


def memory(value: float) -> str:
    """Writes a size in bytes as B, KiB, MiB or GiB."""
    if value is None or math.isnan(value):
        return "–"
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if abs(value) >= factor:
            return f"{number(value / factor)} {unit}"
    return f"{number(value)} B"


def percent(share: float) -> str:
    """Writes a share of one as per cent: 0.267 is 26.7 %."""
    return "–" if share is None or math.isnan(share) else f"{number(100 * share)} %"


def predicted(written: str) -> str:
    """Marks a written number as predicted: ≈ 73."""
    return f"{ABOUT} {written}"


def with_unit(value: float, unit: str) -> str:
    """Writes a value in its SI unit the way people read it; other units stand behind it."""
    writers = {"s": seconds, "B": memory, "byte": memory, "bytes": memory, "1": number}
    if unit in writers:
        return writers[unit](value)
    return f"{number(value)} {unit}".strip()


def setting_count(value: float) -> str:
    """Writes a chosen count: 100 M, 0.3 M, 16 384."""
    for size, letter, least in ((1e12, "T", 1e12), (1e9, "B", 1e9), (1e6, "M", 1e5)):
        if abs(value) >= least:
            return f"{setting(value / size)} {letter}"
    return setting(value)
