"""Kernel lab: what an op costs, what a device allows, and what its forms take here.

from workbench.labs import kernels
kernels.open()
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "accuracy": "workbench.labs.kernels.exactness",
    "open": "workbench.labs.kernels.view",
}

__all__ = ["accuracy", "open"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
