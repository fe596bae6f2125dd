"""What a method's code is, as a text that changes when the code does."""

from __future__ import annotations

import json
import types
from typing import Any

from pydantic import BaseModel

from workbench.runs import identity


def version_of(cls: type, base: type) -> str:
    """The version a class declares; for one that declares none, its own source and its parent's.

    A subclass that overrides a verb does not inherit its parent's version: it is other code.

    Args:
        cls: the class.
        base: the ancestor at which looking ends.
    """
    parts = []
    for part in cls.__mro__:
        if part is base:
            break
        declared = vars(part).get("version")
        if declared:
            parts.append(str(declared))
            break
        parts.append(_source(part))
    return parts[0] if len(parts) == 1 else identity.digest(parts)[:16]


def _source(cls: type) -> str:
    """A hash of a class body, member by member: a class of a notebook cell has no source file."""
    members = {
        name: _member(value)
        for name, value in vars(cls).items()
        if not name.startswith("__") or name in ("__init__", "__call__")
    }
    return identity.digest(members)[:16]


def _member(value: Any) -> Any:
    value = getattr(value, "__func__", value)
    value = value.fget if isinstance(value, property) else value
    if isinstance(value, type):
        schema = value.model_json_schema() if issubclass(value, BaseModel) else {}
        return [value.__qualname__, json.dumps(schema, sort_keys=True, default=str)]
    try:
        return identity.digest(value)
    except TypeError:
        # It holds something without content to compare; its code still counts.
        code = getattr(value, "__code__", None)
        return code.co_code if isinstance(code, types.CodeType) else type(value).__qualname__
