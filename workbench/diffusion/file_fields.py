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


def require_blocks(config: Any) -> None:
    """Holds a convolutional model to a type for each of its blocks, and to whole groups of norms.

    Raises:
        ValueError: names the field, what it holds, and what it needs.
    """
    widths, groups = config.block_out_channels, config.norm_num_groups
    if not widths:
        raise ValueError("block_out_channels is empty; give one width per block")
    for name in ("down_block_types", "up_block_types"):
        types = getattr(config, name)
        if len(types) != len(widths):
            raise ValueError(
                f"{name}={list(types)} has {len(types)} entries;"
                f" block_out_channels has {len(widths)}"
            )
    for width in widths:
        if width < 1 or width % groups:
            raise ValueError(
                f"block_out_channels={list(widths)}: {width} is not a"
                f" multiple of norm_num_groups={groups}"
            )
