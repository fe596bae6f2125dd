"""Settings as plain values: checked, written as text, read back, and named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.panels.view import KnobGroup, Problem, Values, View
from workbench.study.knobs import KnobError, Knobs, describe

Plain = dict[str, dict[str, Any]]


def defaults(groups: Sequence[KnobGroup]) -> Plain:
    """Every knob at its default."""
    return {group.id: group.knobs.parse({}).model_dump(mode="json") for group in groups}


def plain(values: Values) -> Plain:
    """Validated settings as JSON values."""
    return {group: knobs.model_dump(mode="json") for group, knobs in values.items()}


def merged(base: Mapping[str, Mapping[str, Any]], over: Mapping[str, Mapping[str, Any]]) -> Plain:
    """`base` with the values of `over`; neither is changed.

    Raises:
        KeyError: for a group or field that `base` does not have.
    """
    result = {group: dict(fields) for group, fields in base.items()}
    for group, fields in over.items():
        if group not in result:
            raise KeyError(f"There is no group {group!r}. Known: {', '.join(result)}")
        for name, value in fields.items():
            if name not in result[group]:
                known = ", ".join(result[group])
                raise KeyError(f"Group {group!r} has no knob {name!r}. Known: {known}")
            result[group][name] = list(value) if isinstance(value, tuple) else value
    return result


def parse(
    groups: Sequence[KnobGroup], state: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Knobs] | None, list[Problem]]:
    """Validate every group; None with the problems where a value cannot be taken."""
    values: dict[str, Knobs] = {}
    problems: list[Problem] = []
    for group in groups:
        try:
            values[group.id] = group.knobs.parse(dict(state.get(group.id, {})))
        except KnobError as error:
            problems.extend(_each(group, state.get(group.id, {}), error))
    return (None if problems else values), problems


def _each(group: KnobGroup, fields: Mapping[str, Any], first: KnobError) -> list[Problem]:
    """One problem per bad field of a group: fields are tried one by one over the defaults."""
    found: list[Problem] = []
    for name, value in fields.items():
        try:
            group.knobs.parse({name: value})
        except KnobError as error:
            if error.field == name:
                found.append(Problem("error", name, str(error), group.id))
    return found or [Problem("error", first.field, str(first), group.id)]


def start(view: View, given: Mapping[str, Mapping[str, Any]] | str | None) -> Plain:
    """Given settings over the defaults; the first preset when nothing is given."""
    base = defaults(view.groups)
    if given is None:
        given = view.presets[0].values
    return merged(base, from_text(given) if isinstance(given, str) else given)


def accepted(view: View, state: Plain) -> Values:
    """The validated settings.

    Raises:
        ValueError: saying the first problem.
    """
    values, problems = parse(view.groups, state)
    if values is None:
        raise ValueError(problems[0].message)
    return values


def to_text(state: Mapping[str, Mapping[str, Any]]) -> str:
    """Settings as JSON text that `from_text` and `Panel(settings=…)` read."""
    return json.dumps(state, indent=1, ensure_ascii=False)


def from_text(text: str) -> Plain:
    """Read settings back.

    Raises:
        ValueError: when the text is not settings.
    """
    try:
        state = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"Settings are JSON text; line {error.lineno}: {error.msg}") from None
    if not isinstance(state, dict) or not all(isinstance(v, dict) for v in state.values()):
        raise ValueError('Settings look like {"group": {"knob": value}}')
    return state


def cache_key(values: Values) -> str:
    """The same text for the same settings."""
    return json.dumps(plain(values), sort_keys=True)


def pin_label(groups: Sequence[KnobGroup], values: Values, active: Sequence[str]) -> str:
    """The first setting off its default, active groups first; "Default settings" without one."""
    for group in sorted(groups, key=lambda g: g.id not in active):
        for field in describe(group.knobs):
            value = getattr(values[group.id], field.name)
            if value == field.default or not field.visible(values[group.id].model_dump()):
                continue
            return f"{field.label} {_words(value, dict(field.choices))}"[:40]
    return "Default settings"


def _words(value: Any, names: Mapping[Any, str]) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return f"of {len(value)} steps"
    if isinstance(value, float):
        return f"{value:.3g}"
    return names.get(value, str(value))
