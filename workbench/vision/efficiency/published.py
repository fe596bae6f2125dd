"""Latencies that timm publishes of one GPU, and the accuracy of the weights it names.

Shipped in `data/vision-lab/timm-rtx3090.csv` with its source in the JSON beside it. The arithmetic
is timm's own count, printed to two decimals of a GMAC, so that small networks' efficiency is rough.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from workbench import shipped
from workbench.vision.efficiency.formula import computational_efficiency

TABLE = "data/vision-lab/timm-rtx3090.csv"
CARD = "data/vision-lab/timm-rtx3090.json"


@dataclass(frozen=True)
class Published:
    """One network in the table.

    Args:
        model: timm's name.
        gmacs: billions of multiply-accumulates of a picture.
        images_per_s: pictures a second.
        batch: pictures at once.
        pixels: of a picture's side.
        top1: of these weights on ImageNet-1K's validation pictures at this size [%].
        weights: timm's tag of them.
    """

    model: str
    gmacs: float
    images_per_s: float
    batch: int
    pixels: int
    top1: float
    weights: str

    @property
    def operations(self) -> float:
        """FLOP of a picture."""
        return 2e9 * self.gmacs

    @property
    def latency(self) -> float:
        """Seconds a picture, at this batch."""
        return 1 / self.images_per_s

    def efficiency(self, peak: float) -> float:
        """Share of a peak [FLOP/s] that was reached."""
        return computational_efficiency(self.operations, self.latency, peak)


@cache
def published() -> dict[str, Published]:
    """Every row by timm's name."""
    with shipped.path(TABLE).open(encoding="utf-8", newline="") as file:
        rows = [
            Published(
                row["model"],
                float(row["gmacs"]),
                float(row["images_per_s"]),
                int(row["batch"]),
                int(row["pixels"]),
                float(row["top1"]),
                row["weights"],
            )
            for row in csv.DictReader(file)
        ]
    return {row.model: row for row in rows}


@cache
def card() -> dict[str, Any]:
    """Device, setting and source."""
    found: dict[str, Any] = json.loads(shipped.path(CARD).read_text(encoding="utf-8"))
    return found
