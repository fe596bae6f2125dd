"""What a function came to: numbers by name."""

from __future__ import annotations

from typing import Any


def results_of(answer: Any, number: int, together: bool) -> list[dict[str, Any]]:
    """The result of each run.

    Args:
        answer: of the function: a mapping of names to numbers or texts, NaN and infinity included;
            for runs done together, a sequence of them. None is an empty one.
        number: of runs.
        together: whether the function was given all settings at once.

    Raises:
        TypeError: something else.
        ValueError: results for more or fewer runs.
    """
    if not together:
        return [_result(answer, "the function")]
    if not isinstance(answer, list | tuple):
        raise TypeError(
            f"the function returned a {type(answer).__name__}; for {number} settings together it "
            "returns a list with a mapping of numbers for each"
        )
    if len(answer) != number:
        raise ValueError(
            f"the function returned {len(answer)} results for {number} settings; give one for each"
        )
    return [_result(part, f"the function, for settings {i},") for i, part in enumerate(answer)]


def _result(answer: Any, who: str) -> dict[str, Any]:
    if answer is None:
        return {}
    if not isinstance(answer, dict):
        raise TypeError(f"{who} returned a {type(answer).__name__}; give a dict of numbers")
    return {str(name): _value(value, f"{who} returned {name} =") for name, value in answer.items()}


def _value(value: Any, place: str) -> Any:
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    shape = f" of shape {value.shape}" if hasattr(value, "shape") else ""
    raise TypeError(f"{place} a {type(value).__name__}{shape}; give a number or a text")
