"""Fields of a model's `config.json`: kept, held to the values a model has, or refused by name."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any


def accepted(
    kind: str,
    fields: Mapping[str, Any],
    known: Collection[str],
    fixed: Mapping[str, tuple[Any, ...]],
    idle: Collection[str] = (),
) -> dict[str, Any]:
    """The fields of a file that a configuration takes; none is dropped in silence.

    Args:
        kind: the model's name, for messages.
        fields: what the file holds; names with an underscore first are its notes.
        known: names the configuration has.
        fixed: names the model has in some values only, by name; those values pass.
        idle: names that change nothing of what is computed; any value passes.

    Raises:
        ValueError: a field that is unknown, or a value the model does not have.
    """
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        if name.startswith("_") or name in idle:
            continue
        if name in known:
            kept[name] = value
        elif name not in fixed:
            near = difflib.get_close_matches(name, [*known, *fixed, *idle], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{kind} config field {name}={value!r} is not known{hint}")
        elif value not in fixed[name]:
            raise ValueError(
                f"{kind} config field {name}={value!r} is not supported; supported: "
                + " or ".join(repr(v) for v in fixed[name])
            )
    return kept
