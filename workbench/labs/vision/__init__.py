"""Vision lab: convolutional networks, the time their arithmetic takes, and where it goes.

from workbench.labs import vision
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES: dict[str, str] = {}
"""Openers and the modules they are in; "module:function" where the names differ."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, function = _HOMES[name].partition(":")
    return getattr(import_module(module), function or name)
