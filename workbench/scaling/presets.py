"""Published laws with their parameters, as found; what could not be confirmed says so.

No value is rounded further than its source: with Hoffmann's rounded exponents the best tokens a
parameter at Chinchilla's own budget are 92.8, with the unrounded ones 59.0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from workbench.scaling.laws import (
    Chinchilla,
    DataConstrained,
    Kaplan,
    KaplanSteps,
    Law,
    PowerLaw,
    PrecisionLaw,
    QATFraction,
)


@dataclass(frozen=True)
class Preset:
    """A published law.

    Attributes:
        title: on the screen.
        law: the form.
        params: as published.
        source: where.
        confirmed: read in the source; otherwise quoted from memory or by others.
        remark: what to know before using it.
    """

    title: str
    law: Law
    params: Mapping[str, float]
    source: str
    confirmed: bool = True
    remark: str = ""


BESIROGLU = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
HOFFMANN = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}
UNROUNDED = {
    "E": math.exp(0.5267228),
    "A": math.exp(6.0073404),
    "alpha": 0.33917084,
    "B": math.exp(6.0179186),
    "beta": 0.2849083,
}

PRESETS: Mapping[str, Preset] = {
    "hoffmann": Preset(
        "Chinchilla",
        Chinchilla(),
        HOFFMANN,
        "Hoffmann et al. 2022, arXiv 2203.15556, eq. 10",
        remark="rounded in print; the unrounded exponents are .3392 and .2849",
    ),
    "hoffmann-unrounded": Preset(
        "Chinchilla, unrounded",
        Chinchilla(),
        UNROUNDED,
        "Hoffmann et al. 2022, TeX source of arXiv 2203.15556",
        remark="as Besiroglu et al. 2024 quote it",
    ),
    "besiroglu": Preset(
        "Chinchilla, replicated",
        Chinchilla(),
        BESIROGLU,
        "Besiroglu et al. 2024, arXiv 2404.10102",
        remark="240 points read from a figure; in effect least absolute deviations",
    ),
    "muennighoff": Preset(
        "Data-constrained",
        DataConstrained(
            base=(
                ("E", math.exp(0.6254804)),
                ("A", math.exp(6.255414)),
                ("alpha", 0.3526596),
                ("B", math.exp(7.3049974)),
                ("beta", 0.3526596),
            )
        ),
        {"R_D*": 15.387756, "R_N*": 5.309743},
        "Muennighoff et al. 2023, arXiv 2305.16264",
        remark="C4; the objective is nearly flat in both",
    ),
    "kaplan": Preset(
        "Kaplan",
        Kaplan(),
        {"Nc": 6.4e13, "alpha_N": 0.076, "Dc": 1.8e13, "alpha_D": 0.103},
        "Kaplan et al. 2020, arXiv 2001.08361",
        confirmed=False,
        remark="N without embeddings",
    ),
    "kaplan-steps": Preset(
        "Kaplan, over time",
        KaplanSteps(),
        {"Nc": 6.5e13, "alpha_N": 0.077, "Sc": 2.1e3, "alpha_S": 0.76},
        "Kaplan et al. 2020, arXiv 2001.08361",
        confirmed=False,
        remark="N without embeddings; updates of a batch far above the critical one",
    ),
    "kumar": Preset(
        "Precision",
        PrecisionLaw(),
        {
            "E": 2.7648,
            "A": 4299.0,
            "alpha": 0.4965,
            "B": 1.806e4,
            "gamma_w": 2.6745,
            "n_w": 0.3037,
            "gamma_a": 2.2102,
            "n_a": 1.4072,
            "gamma_kv": 0.9578,
            "n_kv": 2.4185,
        },
        "Kumar et al. 2024, arXiv 2411.04330, appendix K",
    ),
    "qat-fraction": Preset(
        "Share of QAT",
        QATFraction(),
        {"a": 6.7297},
        "arXiv 2509.22935",
        confirmed=False,
        remark="that the logarithm is natural is inferred from the closed form",
    ),
    "tifa-compute": Preset(
        "TIFA against compute",
        PowerLaw(over="gflops"),
        {"c": 0.47, "p": 0.02},
        "Li et al. 2024, arXiv 2404.02883",
    ),
    "tifa-size": Preset(
        "TIFA against size",
        PowerLaw(over="millions"),
        {"c": 0.77, "p": 0.11},
        "Li et al. 2024, arXiv 2404.02883",
        confirmed=False,
        remark="the exponent is suspected to be a misprint of .011",
    ),
    "tifa-data": Preset(
        "TIFA against data",
        PowerLaw(over="million_pairs"),
        {"c": 0.64, "p": 0.03},
        "Li et al. 2024, arXiv 2404.02883",
    ),
}
