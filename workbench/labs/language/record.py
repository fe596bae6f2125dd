"""Records what the panels show before anything ran here: texts, gates, curves, ternary weights.

python -m workbench.labs.language.record [--out data/language-lab]
    [--only texts gates curves ternary] [--untimed] [--benchmarks benchmarks/results]

Texts and gates are of the models that ship; the curves are trained here, a few minutes a preset.
On a machine with other work, --untimed leaves the curves' seconds out. What training and decoding
with ternary weights take is read from the records of the benchmarks.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from workbench.labs.language import decode_form, gates_form, train_form
from workbench.labs.language.decode_run import decode
from workbench.labs.language.decode_view import DecodeView
from workbench.labs.language.gate_memory import gates_of
from workbench.labs.language.gates_view import GatesView
from workbench.labs.language.ternary_view import TernaryView
from workbench.labs.language.train_view import TrainView
from workbench.measure import device
from workbench.panels.settings import accepted, start
from workbench.panels.view import View
from workbench.progress import silent

KINDS = ("texts", "gates", "curves", "ternary")

CURVES = train_form.PRESETS[:2]
"""Presets whose curves are recorded."""


def main() -> None:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/language-lab"))
    parser.add_argument("--benchmarks", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--untimed", action="store_true")
    given = parser.parse_args()
    kinds: dict[str, Callable[[], dict[str, Any] | None]] = {
        "texts": texts, "gates": gates, "curves": curves,
        "ternary": partial(ternary, given.benchmarks),
    }  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.only:
        found = kinds[name]()
        if found is None:
            print(f"{name}: no model ships to record it with")
            continue
        if given.untimed and name == "curves":
            for run in (run for study in found["studies"] for run in study["runs"]):
                run["seconds"] = None
        about = {"date": datetime.date.today().isoformat(), "device": device.label()}
        text = json.dumps({**about, **found}, indent=1, ensure_ascii=False)
        (given.out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(f"{name}: {given.out / f'{name}.json'}")


def texts() -> dict[str, Any] | None:
    """What the first two shipped models write under each preset."""
    view = DecodeView()
    if not view.shelf.books:
        return None
    written = []
    for preset in decode_form.PRESETS:
        values = _values(view, preset.values)
        knobs = decode_form.writing(values)
        *_, found = decode(view.shelf, decode_form.chosen(values), knobs, silent)
        plain = [dataclasses.asdict(one) for one in found]
        written.append({"settings": knobs.model_dump(mode="json"), "written": plain})
    return {"texts": written}


def gates() -> dict[str, Any] | None:
    """Gates of each shipped model that has some, on the first preset's text."""
    view = GatesView()
    if not view.shelf.books:
        return None
    found = {}
    for name in view.shelf.books:
        model, tokenizer = view.shelf.model(name)
        ids = tokenizer.encode(gates_form.PROSE)
        found[name] = gates_of(model, ids, tokenizer).record()
    return {"text": gates_form.PROSE, "models": found}


def curves() -> dict[str, Any]:
    """Runs of the first presets, side by side."""
    view, studies = TrainView(), []
    for preset in CURVES:
        values = _values(view, preset.values)
        *_, runs = view.curves(values, silent)
        settings = {group: knobs.model_dump(mode="json") for group, knobs in values.items()}
        studies.append({"settings": settings, "runs": [one.record() for one in runs]})
    return {"text_bytes": view.text.card.unique_bytes, "studies": studies}


BENCHMARKS = {"training": "bit_linear_memory", "decoding": "ternary_decode"}
"""What the ternary page shows of a benchmark, and the name of its record."""


def ternary(results: Path) -> dict[str, Any]:
    """Each shipped ternary model's matrices; figures of the benchmarks of 370 M.

    Args:
        results: folder of the benchmarks' records.
    """
    from workbench.language import ternary_report

    view, models = TernaryView(), {}
    for name in view.shelf.books:
        model, _ = view.shelf.model(name, text=False)
        models[name] = [
            {**dataclasses.asdict(one), "counts": one.counts.tolist()}
            for one in ternary_report.report(model)
        ]
    return {
        "models": models,
        "benchmarks": {k: _figures(results, v) for k, v in BENCHMARKS.items()},
    }


def _figures(results: Path, name: str) -> dict[str, Any]:
    """Value and ends by name, without the setting that stands before the colon of all of them."""
    record = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
    figures = [
        (one["name"].partition(": ")[2], [one["value"], one["low"], one["high"]])
        for one in record["figures"]
    ]
    return {
        "figures": {words: ends for words, ends in figures if words},
        "command": record["command"],
        "device": record["machine"]["device"]["label"],
        "date": record["date"][:10],
    }


def _values(view: View, given: Mapping[str, Mapping[str, Any]]) -> Any:
    return accepted(view, start(view, given))


if __name__ == "__main__":
    main()
