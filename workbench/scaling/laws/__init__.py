"""The laws that can be fitted, by the keys of records and of the command line."""

from __future__ import annotations

from typing import Any

from workbench.scaling.laws.across import Across
from workbench.scaling.laws.broken import Broken
from workbench.scaling.laws.chinchilla import Chinchilla
from workbench.scaling.laws.data_constrained import DataConstrained
from workbench.scaling.laws.kaplan import Kaplan, KaplanLimit, KaplanSteps
from workbench.scaling.laws.law import Law, Parameter
from workbench.scaling.laws.over_training import (
    DownstreamAccuracy,
    DownstreamError,
    OverTraining,
)
from workbench.scaling.laws.power import BoundedPower, LossCompute, PowerLaw
from workbench.scaling.laws.precision import PostTraining, PrecisionLaw
from workbench.scaling.laws.quantization_aware import QATFraction, QATLoss

__all__ = [
    "LAWS",
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
    "Law",
    "LossCompute",
    "OverTraining",
    "Parameter",
    "PostTraining",
    "PowerLaw",
    "PrecisionLaw",
    "QATFraction",
    "QATLoss",
    "law_named",
]

LAWS: dict[str, Any] = {
    law.key: law
    for law in (
        Chinchilla,
        Kaplan,
        KaplanLimit,
        KaplanSteps,
        OverTraining,
        DownstreamError,
        DownstreamAccuracy,
        DataConstrained,
        Broken,
        PrecisionLaw,
        PostTraining,
        QATFraction,
        QATLoss,
        LossCompute,
        PowerLaw,
        BoundedPower,
        Across,
    )
}


def law_named(key: str) -> Any:
    """The class of a law.

    Raises:
        ValueError: with the keys there are.
    """
    if key not in LAWS:
        raise ValueError(f"law {key!r} is not one of {', '.join(sorted(LAWS))}")
    return LAWS[key]
