"""Records what the pages show before anything was fitted here: the simulated table, and fits.

python -m workbench.labs.scaling.record [--out data/scaling-lab] [--only table fits]

Fits are those of the pages' first settings, on the simulated table and on the sweep that ships.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.labs.scaling import tables
from workbench.labs.scaling.compare_form import Comparing, law_across
from workbench.labs.scaling.fit_form import Fitting, law_of, settings_of
from workbench.labs.scaling.fits import Fits, Fitted
from workbench.labs.scaling.runs_form import Shelf
from workbench.labs.scaling.selection import selected
from workbench.measure import device
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
        for name, found, held_out in fits():
            text = json.dumps(as_json(found, held_out), indent=None, allow_nan=False)
            (place / f"{name}.json").write_text(text + "\n", encoding="utf-8")
            print(f"fit: {place / name}.json")


def fits() -> Iterator[tuple[str, Fitted, float]]:
    """Name, fit and held-out share of each first picture."""
    shelf, knobs = Shelf(), Fitting()
    sources = {"simulated": tables.simulated(), "sweep": tables.shipped_sweep()}
    for source, table in sources.items():
        if table is None:
            continue
        runs_knobs: Any = shelf.group().knobs.parse({"source": source})
        all_knobs: Any = shelf.group(together=True).knobs.parse({"source": source})
        chosen = selected(table, runs_knobs)
        *_, found = Fits().fitted(
            law_of(knobs), settings_of(knobs), chosen.runs, knobs.held_out, silent
        )
        yield source, found, knobs.held_out
        if len(table.methods) > 1:
            together = selected(table, all_knobs)
            law = law_across(Comparing(), table.methods)
            *_, found = Fits().fitted(
                law, settings_of(knobs), together.runs, knobs.held_out, silent
            )
            yield f"{source}-methods", found, knobs.held_out


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
