"""Panels: one live form, worker and picture for every lab; they know methods, never a lab."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Panel": "workbench.panels.panel",
    "View": "workbench.panels.view",
    "KnobGroup": "workbench.panels.view",
    "Preset": "workbench.panels.view",
    "Slot": "workbench.panels.view",
    "Problem": "workbench.panels.view",
    "Hints": "workbench.panels.view",
    "StepStrip": "workbench.panels.view",
    "Export": "workbench.panels.view",
    "Picture": "workbench.panels.picture",
    "Worker": "workbench.panels.worker",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench.panels' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
