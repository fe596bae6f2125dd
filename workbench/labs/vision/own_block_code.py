"""A block as code: what "Copy as code" writes for the one a panel was given."""

from __future__ import annotations

import sys

from workbench.vision.own_block import OwnBlock

NOTEBOOK = "__main__"


def code_of(own: OwnBlock) -> tuple[str, list[str]]:
    """An expression, and the lines it needs before it: an import, or a comment.

    A block is called by the name it has in its module; where it has none there, by "mine", and a
    comment says that this is to be bound.
    """
    call = ", ".join(f"{name}={value!r}" for name, value in own.settings.items())
    there = dict(vars(sys.modules.get(own.module) or object))
    for name, value in there.items():
        if name.startswith("_") or not isinstance(value, OwnBlock) or value.maker is not own.maker:
            continue
        where = [] if own.module == NOTEBOOK else [f"from {own.module} import {name}"]
        if dict(value.settings) == dict(own.settings):
            return name, where
        return f"{name}({call})", where
    about = f" with {call}" if call else ""
    return "mine", [f"# mine: your block {own.name!r}{about}, made by workbench.vision.block"]
