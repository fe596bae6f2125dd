"""Latencies that were measured with `python -m workbench.labs.vision.record`, and ship."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from workbench import shipped
from workbench.measure.roofline import Peaks
from workbench.vision.efficiency.timed import GroupTimed, Timed

FOLDER = "data/vision-lab"
LATENCIES, GROUPS = "latencies", "groups"


@dataclass(frozen=True)
class Recorded:
    """What was measured on one device.

    Args:
        rows: of the table.
        card: device, date, command, and the device's rates as they were measured with it.
    """

    rows: Sequence[Any]
    card: dict[str, Any]

    @property
    def peaks(self) -> Peaks:
        """The device's rates, measured just before."""
        return Peaks(**self.card["peaks"])

    @property
    def where(self) -> str:
        """Device and date."""
        return f"{self.card['device']}, {self.card['date']}"


@cache
def latencies() -> Recorded | None:
    """Networks, blocks and layers; None where nothing ships."""
    return _read(LATENCIES, Timed)


@cache
def groups() -> Recorded | None:
    """One layer at every group size; None where nothing ships."""
    return _read(GROUPS, GroupTimed)


def write(folder: Path, name: str, rows: Sequence[Any], card: dict[str, Any]) -> Path:
    """Writes a table and its card.

    Args:
        rows: dataclasses of one kind.
        card: see `Recorded`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.csv"
    columns = list(type(rows[0]).COLUMNS)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row.cells() for row in rows])
    text = json.dumps(card, indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return file


def _read(name: str, kind: Any) -> Recorded | None:
    try:
        file = shipped.path(f"{FOLDER}/{name}.csv")
        card = json.loads(shipped.path(f"{FOLDER}/{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    with file.open(encoding="utf-8", newline="") as stream:
        return Recorded([kind.of(row) for row in csv.DictReader(stream)], card)
