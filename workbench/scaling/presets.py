"""Published laws with their parameters, as found; what could not be confirmed says so.

No value is rounded further than its source: with Hoffmann's rounded exponents the best tokens a
parameter at Chinchilla's own budget are 92.8, with the unrounded ones 59.0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.scaling.laws import (
    Chinchilla,
    DataConstrained,
    Kaplan,
    KaplanLimit,
    KaplanSteps,
    Law,
    PostTraining,
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
        by: whose it is, in a word.
    """

    title: str
    law: Law
    params: Mapping[str, float]
    source: str
    confirmed: bool = True
    remark: str = ""
    by: str = ""

    @property
    def mark(self) -> str:
        """Behind its name or its numbers wherever they are shown: empty where it is confirmed."""
        return "" if self.confirmed else UNCONFIRMED


UNCONFIRMED = "\u00a0†"
UNCONFIRMED_WORDS = "†: unconfirmed, quoted by others"


@dataclass(frozen=True)
class Exponent:
    """A published exponent a of N* ~ C^a.

    Attributes:
        title: whose.
        a: as printed.
        low, high: of its interval, where one is printed.
        source: where.
        confirmed: read in the source.
    """

    title: str
    a: float
    low: float | None
    high: float | None
    source: str
    confirmed: bool = False

    @property
    def mark(self) -> str:
        """As of a preset."""
        return "" if self.confirmed else UNCONFIRMED


PF_DAY = 1e15 * 86_400
"""FLOPs of a petaFLOP/s for a day."""

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
        by="Hoffmann",
    ),
    "hoffmann-unrounded": Preset(
        "Chinchilla, unrounded",
        Chinchilla(),
        UNROUNDED,
        "Hoffmann et al. 2022, TeX source of arXiv 2203.15556",
        remark="as Besiroglu et al. 2024 quote it",
        by="Hoffmann, unrounded",
    ),
    "besiroglu": Preset(
        "Chinchilla, replicated",
        Chinchilla(),
        BESIROGLU,
        "Besiroglu et al. 2024, arXiv 2404.10102",
        remark="240 points read from a figure; in effect least absolute deviations",
        by="Besiroglu",
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
        by="Muennighoff",
    ),
    "kaplan": Preset(
        "Kaplan",
        Kaplan(),
        {"Nc": 6.4e13, "alpha_N": 0.076, "Dc": 1.8e13, "alpha_D": 0.103},
        "Kaplan et al. 2020, arXiv 2001.08361",
        confirmed=False,
        remark="N without embeddings",
        by="Kaplan",
    ),
    "kaplan-size": Preset(
        "Kaplan, of size",
        KaplanLimit("n_params"),
        {"Nc": 8.8e13, "alpha_N": 0.076},
        "Kaplan et al. 2020, arXiv 2001.08361",
        confirmed=False,
        remark="N without embeddings",
        by="Kaplan",
    ),
    "kaplan-data": Preset(
        "Kaplan, of data",
        KaplanLimit("n_tokens"),
        {"Dc": 5.4e13, "alpha_D": 0.095},
        "Kaplan et al. 2020, arXiv 2001.08361",
        confirmed=False,
        remark="tokens, where the model is large enough and training stops early",
        by="Kaplan",
    ),
    "kaplan-compute": Preset(
        "Kaplan, of compute",
        KaplanLimit("least_flops"),
        {"Cc": 3.1e8 * PF_DAY, "alpha_C": 0.050},
        "Kaplan et al. 2020, arXiv 2001.08361",
        confirmed=False,
        remark="printed as 3.1e8 PF-days; at one batch size for all the exponent is .057",
        by="Kaplan",
    ),
    "kaplan-steps": Preset(
        "Kaplan, over time",
        KaplanSteps(),
        {"Nc": 6.5e13, "alpha_N": 0.077, "Sc": 2.1e3, "alpha_S": 0.76},
        "Kaplan et al. 2020, arXiv 2001.08361",
        confirmed=False,
        remark="N without embeddings; updates of a batch far above the critical one",
        by="Kaplan",
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
        by="Kumar",
    ),
    "kumar-ptq": Preset(
        "Quantised after training",
        PostTraining(),
        {"C_T": 0.0598, "gamma_D": 0.5068, "gamma_N": 0.3439, "gamma": 0.5907},
        "Kumar et al. 2024, arXiv 2411.04330",
        confirmed=False,
        remark="without the offset b = 1.1277, as where it stands could not be confirmed",
        by="Kumar",
    ),
    "qat-fraction": Preset(
        "Share of QAT",
        QATFraction(),
        {"a": 6.7297},
        "arXiv 2509.22935",
        confirmed=False,
        remark="that the logarithm is natural is inferred from the closed form",
        by="Paper",
    ),
    "tifa-compute": Preset(
        "TIFA against compute",
        PowerLaw(over="gflops"),
        {"c": 0.47, "p": 0.02},
        "Li et al. 2024, arXiv 2404.02883",
        by="Li",
    ),
    "tifa-size": Preset(
        "TIFA against size",
        PowerLaw(over="millions"),
        {"c": 0.77, "p": 0.11},
        "Li et al. 2024, arXiv 2404.02883",
        confirmed=False,
        remark="the exponent is suspected to be a misprint of .011",
        by="Li",
    ),
    "tifa-data": Preset(
        "TIFA against data",
        PowerLaw(over="million_pairs"),
        {"c": 0.64, "p": 0.03},
        "Li et al. 2024, arXiv 2404.02883",
        by="Li",
    ),
}

QUOTED = "the table of published exponents in Open Athena's scaling-law analysis"

EXPONENTS: Mapping[str, Exponent] = {
    "kaplan": Exponent("Kaplan", 0.73, None, None, "arXiv 2001.08361"),
    "hoffmann-1": Exponent("Hoffmann, approach 1", 0.50, 0.488, 0.502, "arXiv 2203.15556, §3.1"),
    "hoffmann-2": Exponent("Hoffmann, approach 2", 0.49, 0.462, 0.534, "arXiv 2203.15556, §3.2"),
    "hoffmann-3": Exponent(
        "Hoffmann, approach 3", 0.454, 0.454, 0.455, "arXiv 2203.15556, §3.3", confirmed=True
    ),
    "besiroglu": Exponent(
        "Besiroglu, replication",
        BESIROGLU["beta"] / (BESIROGLU["alpha"] + BESIROGLU["beta"]),
        None,
        None,
        "arXiv 2404.10102",
        confirmed=True,
    ),
    "deepseek-least": Exponent("DeepSeek, least of its data", 0.450, None, None, QUOTED),
    "deepseek-most": Exponent("DeepSeek, most of its data", 0.578, None, None, QUOTED),
    "xlstm": Exponent("xLSTM", 0.547, None, None, QUOTED),
    "xlstm-transformer": Exponent("Transformer beside xLSTM", 0.575, None, None, QUOTED),
    "diffusion-transformer": Exponent("Diffusion transformers", 0.568, None, None, QUOTED),
}
"""Of parameters, by whom; what is only quoted by others is marked so."""


def as_json(*keys: str) -> dict[str, Any]:
    """The record of a figure that published laws stand behind: form, parameters, source, mark.

    Args:
        keys: of `PRESETS`.
    """
    from workbench.scaling.record import law_as_json

    laws = {
        key: {
            "law": law_as_json(PRESETS[key].law),
            "params": dict(PRESETS[key].params),
            "source": PRESETS[key].source,
            "confirmed": PRESETS[key].confirmed,
            "remark": PRESETS[key].remark,
        }
        for key in keys
    }
    return {"kind": "published laws", "laws": laws}


def published(law: Law) -> list[tuple[Preset, Mapping[str, float]]]:
    """Presets of a law, with the parameters under its names.

    Of repeated data the published base counts as parameters, where the law fits its own.
    """
    found: list[tuple[Preset, Mapping[str, float]]] = []
    for preset in PRESETS.values():
        own = preset.law
        if own == law:
            found.append((preset, preset.params))
        elif law == DataConstrained() and isinstance(own, DataConstrained) and own.base is not None:
            found.append((preset, {**dict(own.base), **preset.params}))
    return found
