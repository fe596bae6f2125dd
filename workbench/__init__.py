"""An interactive, notebook-first research workbench for efficient deep learning in JAX.

Importing this package loads nothing heavy: every public name is fetched from its own module when
it is first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Knobs": "workbench.study.knobs",
    "knob": "workbench.study.knobs",
    "Method": "workbench.study.method",
    "Report": "workbench.study.progress",
    "Tables": "workbench.study.tables",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
