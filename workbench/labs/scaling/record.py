"""Records what the pages show before anything was fitted here: the simulated table, and fits.

python -m workbench.labs.scaling.record [--out data/scaling-lab] [--only table fits]

Fits are those of the pages' first settings, on the simulated table and on the sweep that ships,
which has the law of repeated data besides.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.labs.scaling import tables
from workbench.labs.scaling.compare_view import CompareView
from workbench.labs.scaling.fit_form import FIT, REPEATED
from workbench.labs.scaling.fit_view import FitView
from workbench.labs.scaling.fits import Fitted
from workbench.labs.scaling.fitted_view import FittedView
from workbench.labs.scaling.runs_form import RUNS
from workbench.labs.scaling.unique_data import UNIQUE
from workbench.measure import device
from workbench.panels.settings import accepted, start
from workbench.progress import silent


def main() -> None:
    """The table first: fits are of what it then holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(tables.FOLDER))
    parser.add_argument("--only", nargs="*", choices=("table", "fits"), default=["table", "fits"])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if "table" in given.only:
        file = given.out / Path(tables.SIMULATED).name
        file.write_text(tables.simulate().to_csv(index=False), encoding="utf-8")
        tables.simulated.cache_clear()
        print(f"table: {file}")
    if "fits" in given.only:
        place = given.out / "recorded"
        place.mkdir(exist_ok=True)
        for old in place.glob("*.json"):
            old.unlink()
        for name, found, held_out in fits():
            text = json.dumps(as_json(found, held_out), indent=None, allow_nan=False)
            (place / f"{name}.json").write_text(text + "\n", encoding="utf-8")
            print(f"fit: {place / name}.json")


def fits() -> Iterator[tuple[str, Fitted, float]]:
    """Name, fit and held-out share: each method's law, what methods share, and repeated data."""
    sources = {"simulated": tables.simulated(), "sweep": tables.shipped_sweep()}
    for source, table in sources.items():
        if table is None:
            continue
        laws = ["chinchilla", *([REPEATED] if UNIQUE in table.runs.columns else [])]
        for method, law in itertools.product(table.methods, laws):
            given = {RUNS: {"source": source, "by_name": method}, FIT: {"law": law}}
            yield f"{source}-{_in_a_file(method)}-{law}", *_fitted(FitView(), given)
        if len(table.methods) > 1:
            yield f"{source}-methods", *_fitted(CompareView(), {RUNS: {"source": source}})


def _fitted(view: FittedView, given: Mapping[str, Mapping[str, Any]]) -> tuple[Fitted, float]:
    """What a page would fit under these settings, and the share it holds out."""
    values = accepted(view, start(view, given))
    held_out = view.held_out(values)
    *_, found = view.fits.fitted(
        view.law(values), view.fit_settings(values), view.chosen(values).runs, held_out, silent
    )
    return found, held_out


def _in_a_file(name: str) -> str:
    """A method's name as part of a file's."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def as_json(found: Fitted, held_out: float) -> dict[str, Any]:
    """The content of a recorded file."""
    from workbench.scaling.record import as_json as fit_json

    tested = None
    if found.tested is not None:
        numbers = found.tested.select_dtypes("number")
        tested = {
            "index": [str(label) for label in numbers.index],
            "columns": {str(name): numbers[name].tolist() for name in numbers.columns},
        }
    return {
        "date": datetime.date.today().isoformat(),
        "device": device.label("float64"),
        "held_out": held_out,
        "why": found.why,
        "tested": tested,
        "fit": fit_json(found.fit),
    }


if __name__ == "__main__":
    main()
