"""The points of a sweep: settings of plain values, each once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.runs import digest

MOST = 100_000
"""Points of one sweep."""

Settings = dict[str, Any]


def points(grid: Any) -> list[Settings]:
    """The settings of every run, in order, the last axis fastest.

    Args:
        grid: axes as a mapping of names to values (a list, tuple, range or array; any other value
            is the same in every point); or the points themselves, as mappings or as a table.

    Raises:
        TypeError: a name that is no text, or a value that is not plain: None, a truth value, a
            number, a text, or lists and mappings of these.
        ValueError: no point, too many, the same one twice, or a number that is not finite.
    """
    if hasattr(grid, "to_dict") and hasattr(grid, "columns"):
        grid = grid.to_dict("records")
    if isinstance(grid, Mapping):
        found = _product(grid)
    elif isinstance(grid, Sequence) and not isinstance(grid, str | bytes):
        found = [_point(part, f"grid[{place}]") for place, part in enumerate(grid)]
    else:
        raise TypeError(
            f"grid is a {type(grid).__name__}; give a mapping of axes, or a list of mappings"
        )
    if not found:
        raise ValueError("grid: has no points; give at least one")
    _check_number(len(found))
    _check_once(found)
    return found


def grouped(found: Sequence[Settings], together: Sequence[str]) -> list[list[Settings]]:
    """The points of each job: those that differ only in the settings `together`, in order.

    Raises:
        ValueError: a point without one of those settings.
    """
    if not together:
        return [[one] for one in found]
    groups: dict[str, list[Settings]] = {}
    for place, one in enumerate(found):
        missing = [name for name in together if name not in one]
        if missing:
            raise ValueError(
                f"together: {missing[0]!r} is no setting of point {place}, which has "
                f"{', '.join(one)}"
            )
        same = {name: value for name, value in one.items() if name not in together}
        groups.setdefault(digest(same), []).append(one)
    return list(groups.values())


def _product(axes: Mapping[Any, Any]) -> list[Settings]:
    values = {_name(name, "grid"): _axis(name, given) for name, given in axes.items()}
    if not values:
        return []
    _check_number(math.prod(len(each) for each in values.values()))
    return [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]


def _axis(name: str, given: Any) -> list[Any]:
    if hasattr(given, "tolist") and getattr(given, "shape", None) != ():
        given = given.tolist()
    if not isinstance(given, list | tuple | range):
        return [plain(given, name)]
    values = [plain(value, f"{name}[{place}]") for place, value in enumerate(given)]
    if not values:
        raise ValueError(f"{name}: has no values; give at least one")
    seen: set[str] = set()
    for value in values:
        key = digest(value)
        if key in seen:
            raise ValueError(f"{name}: has {value!r} twice; each run is done once")
        seen.add(key)
    return values


def _point(given: Any, place: str) -> Settings:
    if not isinstance(given, Mapping):
        raise TypeError(f"{place} is a {type(given).__name__}; a point is a mapping of settings")
    if not given:
        raise ValueError(f"{place}: has no settings; give at least one")
    return {
        _name(name, place): plain(value, f"{place}.{name}") for name, value in given.items()
    }  # fmt: skip


def _name(name: Any, place: str) -> str:
    if not isinstance(name, str) or not name:
        raise TypeError(f"{place}: {name!r} is no name of a setting; a name is a text")
    return name


def plain(value: Any, place: str) -> Any:
    """A value as JSON has it: scalars of arrays as numbers, tuples as lists.

    Raises:
        TypeError: any other value.
        ValueError: a number that is not finite.
    """
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place} is {value!r}; give a finite number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(part, f"{place}[{number}]") for number, part in enumerate(value)]
    if isinstance(value, Mapping):
        return {_name(name, place): plain(part, f"{place}.{name}") for name, part in value.items()}
    raise TypeError(
        f"{place} is a {type(value).__name__}; settings are plain values (None, a truth value, a "
        "number, a text, lists and mappings of these), from which the function makes the rest"
    )


def _check_number(number: int) -> None:
    if number > MOST:
        raise ValueError(f"grid: has {number} points; a sweep has at most {MOST}")


def _check_once(found: Iterable[Settings]) -> None:
    seen: dict[str, int] = {}
    for place, one in enumerate(found):
        key = digest(one)
        if key in seen:
            raise ValueError(f"grid: points {seen[key]} and {place} are the same, {one}")
        seen[key] = place
