"""Choices of columns that were put right by hand, kept for the next table with the same header."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.atomic import replace_file
from workbench.home import data
from workbench.scaling.importing.proposal import Choice, as_rows

NAME = "columns.json"
MOST = 200
"""Headers that are remembered; the oldest goes first."""


def recall(table: pd.DataFrame, folder: Path | None = None) -> list[Choice] | None:
    """What was chosen for a table with this header; None where nothing was."""
    rows = _read(_file(folder)).get(_header(table))
    if rows is None:
        return None
    try:
        return [Choice(**row) for row in rows]
    except TypeError:  # of another version
        return None


def remember(table: pd.DataFrame, choices: list[Choice], folder: Path | None = None) -> None:
    """Keeps choices for tables with this header."""
    file = _file(folder)
    known = _read(file)
    known.pop(_header(table), None)
    known[_header(table)] = as_rows(choices)
    kept = dict(list(known.items())[-MOST:])
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, [json.dumps(kept, indent=1).encode()])


def _file(folder: Path | None) -> Path:
    return (folder or data() / "scaling") / NAME


def _header(table: pd.DataFrame) -> str:
    return hashlib.sha256("\n".join(map(str, table.columns)).encode()).hexdigest()


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
