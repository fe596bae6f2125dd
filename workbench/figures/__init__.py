"""Charts from rows, one look for all of them, and export with the data behind the picture.

Nothing here knows a field, a widget or jax. Heavy parts (altair, vl-convert) load on first use.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Chart": "chart",
    "Palette": "palette",
    "bars": "charts",
    "contours": "charts",
    "export_figure": "export",
    "gaps": "charts",
    "heat": "charts",
    "lines": "charts",
    "pareto": "charts",
    "ranges": "charts",
    "resolve": "theme",
    "roofline": "charts",
    "stylesheet": "theme",
    "waterline": "charts",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Loads the module that holds a public name when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
