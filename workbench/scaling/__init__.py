"""Scaling laws: from a table of runs to a law, and from a law to a decision with its interval.

Each name is fetched when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.scaling.curve_envelope import envelope
    from workbench.scaling.diagnostics import (
        back_test,
        influence,
        leave_one_size_out,
        outliers,
        wald,
    )
    from workbench.scaling.fitting import fit
    from workbench.scaling.laws import (
        Across,
        BoundedPower,
        Broken,
        Chinchilla,
        DataConstrained,
        DownstreamAccuracy,
        DownstreamError,
        Kaplan,
        KaplanLimit,
        KaplanSteps,
        LossCompute,
        OverTraining,
        PostTraining,
        PowerLaw,
        PrecisionLaw,
        QATFraction,
        QATLoss,
    )
    from workbench.scaling.parabolas import isoflop
    from workbench.scaling.presets import PRESETS
    from workbench.scaling.profiles import profile, profile_interval
    from workbench.scaling.projection import project
    from workbench.scaling.result import Fit
    from workbench.scaling.runs_table import RunsError, problems

# Names and the modules they are in.
_PLACES = {
    "Fit": "result",
    "PRESETS": "presets",
    "RunsError": "runs_table",
    "envelope": "curve_envelope",
    "fit": "fitting",
    "isoflop": "parabolas",
    "problems": "runs_table",
    "profile": "profiles",
    "profile_interval": "profiles",
    "project": "projection",
    **dict.fromkeys(
        ("back_test", "influence", "leave_one_size_out", "outliers", "wald"), "diagnostics"
    ),
    **dict.fromkeys(
        (
            "Across",
            "BoundedPower",
            "Broken",
            "Chinchilla",
            "DataConstrained",
            "DownstreamAccuracy",
            "DownstreamError",
            "Kaplan",
            "KaplanLimit",
            "KaplanSteps",
            "LossCompute",
            "OverTraining",
            "PostTraining",
            "PowerLaw",
            "PrecisionLaw",
            "QATFraction",
            "QATLoss",
        ),
        "laws",
    ),
}

__all__ = [
    "PRESETS",
    "Across",
    "BoundedPower",
    "Broken",
    "Chinchilla",
    "DataConstrained",
    "DownstreamAccuracy",
    "DownstreamError",
    "Fit",
    "Kaplan",
    "KaplanLimit",
    "KaplanSteps",
    "LossCompute",
    "OverTraining",
    "PostTraining",
    "PowerLaw",
    "PrecisionLaw",
    "QATFraction",
    "QATLoss",
    "RunsError",
    "back_test",
    "envelope",
    "fit",
    "influence",
    "isoflop",
    "leave_one_size_out",
    "outliers",
    "problems",
    "profile",
    "profile_interval",
    "project",
    "wald",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
