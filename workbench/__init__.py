"""An interactive, notebook-first research workbench for efficient deep learning in JAX.

Importing this package loads nothing heavy: every public name is fetched from its own place when it
is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.study import (
        Comparison,
        Knobs,
        Method,
        Paper,
        Probe,
        Report,
        Study,
        Tables,
        compare,
        knob,
    )

__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "Knobs",
    "Method",
    "Paper",
    "Probe",
    "Report",
    "Study",
    "Tables",
    "__version__",
    "compare",
    "knob",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(import_module("workbench.study"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
