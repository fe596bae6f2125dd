"""Runs a study: searches and seeds, each done once, kept, and gone on with after a stop."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from workbench.language.published import parameters
from workbench.language.studies.design import SEARCH_SEED, Design, Entry
from workbench.progress import Report, silent
from workbench.runs import Store
from workbench.training import NotANumber, Result, train

LAST = 0.1
"""Share of a run whose mean training loss chooses the rate."""


@dataclass
class Found:
    """What a study knows so far.

    Attributes:
        runs: a row for each result.
        searches: a row for each rate that was tried.
        weights: of the first seed, by kind and size.
        diverged: kind, name, size, seed and step of each run whose loss stopped being a number;
            with the search's seed where it did at every rate, and then the step of the last.
    """

    runs: list[dict[str, Any]] = field(default_factory=list)
    searches: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[tuple[str, str], Any] = field(default_factory=dict)
    diverged: list[dict[str, Any]] = field(default_factory=list)


def results(design: Design, store: Store, report: Report = silent) -> Iterator[Found]:
    """Everything known, after each run; a finished run is read, a broken one goes on.

    All families search before the first seed, and each seed trains them all before the next, so
    that a study that is stopped compares what it has.

    Raises:
        Cancelled: from `report`; what was done is kept.
    """
    found, steps = Found(), _Steps(design, report)
    for entry in design.entries:
        for rate in design.rates:
            found.searches.append(_searched(design, entry, rate, store, steps))
            yield found
        if best_rate(found.searches, entry) is None:
            last = max(row["diverged_at"] for row in found.searches[-len(design.rates) :])
            found.diverged.append(_diverged(entry, SEARCH_SEED, last))
            yield found
    for seed in design.seeds:
        for entry in design.entries:
            best = best_rate(found.searches, entry)
            if best is None:
                continue
            result = _trained(design, entry, best, seed, design.steps, store, steps)
            if isinstance(result, NotANumber):
                found.diverged.append(_diverged(entry, seed, result.step))
                yield found
                continue
            about = _about(design, entry, best, seed, result)
            found.runs += [{**about, **row} for row in design.measured(entry, result)]
            if seed == design.seeds[0]:
                found.weights[entry.kind, entry.size] = result.weights
            yield found


def best_rate(searches: list[dict[str, Any]], entry: Entry) -> float | None:
    """The rate with the least loss of an entry; None where none gave a number."""
    tried = [
        (row["loss"], row["learning_rate"])
        for row in searches
        if (row["kind"], row["size"]) == (entry.kind, entry.size) and math.isfinite(row["loss"])
    ]
    return min(tried)[1] if tried else None


def _searched(
    design: Design, entry: Entry, rate: float, store: Store, steps: _Steps
) -> dict[str, Any]:
    result = _trained(design, entry, rate, SEARCH_SEED, design.search_steps, store, steps)
    return {
        "kind": entry.kind,
        "name": entry.name,
        "size": entry.size,
        "learning_rate": rate,
        "steps": design.search_steps,
        "seed": SEARCH_SEED,
        "loss": last_loss(result) if isinstance(result, Result) else math.inf,
        "seconds": result.seconds if isinstance(result, Result) else math.nan,
        "diverged_at": None if isinstance(result, Result) else result.step,
    }


def _diverged(entry: Entry, seed: int, step: int) -> dict[str, Any]:
    about = {"kind": entry.kind, "name": entry.name, "size": entry.size}
    return {**about, "seed": seed, "step": step}


def _trained(
    design: Design, entry: Entry, rate: float, seed: int, steps: int, store: Store, told: _Steps
) -> Result | NotANumber:
    """A run, or where its loss stopped being a number."""
    told.begin(f"{entry.name} {entry.size}, rate {rate:g}, seed {seed}")
    recipe = design.recipe(entry, rate, seed, steps)
    try:
        return train(design.task(entry.config), recipe, store=store, report=told)
    except NotANumber as fault:
        return fault
    finally:
        told.end()


def last_loss(result: Result) -> float:
    """Mean training loss of the last tenth of the updates."""
    history = result.history.dropna(subset=["loss"])
    late = history[history["step"] > (1 - LAST) * result.steps]
    return float((late if len(late) else history.tail(1))["loss"].mean())


def _about(design: Design, entry: Entry, rate: float, seed: int, result: Result) -> dict[str, Any]:
    from workbench.measure import device

    config, run = entry.config, result.run
    return {
        "kind": entry.kind,
        "name": entry.name,
        "size": entry.size,
        "parameters": parameters(config),
        "width": config.hidden_size,
        "layers": config.num_hidden_layers,
        "learning_rate": rate,
        "seed": seed,
        "steps": result.steps,
        "tokens": result.steps * design.batch_size * design.length,
        "train_loss": last_loss(result),
        "seconds": result.seconds,
        "device": device.label(),
        "date": datetime.date.today().isoformat(),
        "run": "" if run is None else run.id,
    }


class _Steps:
    """One count of updates over all runs of a study."""

    def __init__(self, design: Design, report: Report) -> None:
        self.report, self.done, self.label, self.here = report, 0, "", 0
        one = len(design.rates) * design.search_steps + len(design.seeds) * design.steps
        self.total = one * len(design.entries)

    def begin(self, label: str) -> None:
        """A run begins."""
        self.label, self.here = label, 0
        self(0, 1, "compiling")

    def __call__(self, done: int, total: int, note: str = "", preview: Any = None) -> None:
        self.here = max(self.here, done)
        self.report(self.done + done, self.total, f"{self.label}: {note}")

    def end(self) -> None:
        """A run ends."""
        self.done += self.here
