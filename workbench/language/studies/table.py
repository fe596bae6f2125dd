"""A study on disk: `runs.csv`, `searches.csv`, and a card that says what they are."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.checkpoints import replace_text
from workbench.language.studies.design import SEARCH_SEED, Design
from workbench.language.studies.ranking import Ranking, ranking, without
from workbench.language.studies.running import Found

if TYPE_CHECKING:
    import pandas as pd

RUNS, SEARCHES, CARD = "runs.csv", "searches.csv", "card.json"


def write(design: Design, found: Found, folder: Path, command: str) -> None:
    """Writes what is known so far; a study that is not finished says so on its card."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in ((RUNS, found.runs), (SEARCHES, found.searches)):
        replace_text(folder / name, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))
    text = json.dumps(card(design, found, command), indent=1, ensure_ascii=False)
    replace_text(folder / CARD, text + "\n")


def read(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows and card of a study.

    Raises:
        FileNotFoundError: no study there.
    """
    import pandas as pd

    rows = pd.read_csv(folder / RUNS, encoding="utf-8")
    found: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    return rows, found


def card(design: Design, found: Found, command: str) -> dict[str, Any]:
    """Command, data, seeds, search, what diverged, seconds, device, order beside the paper's."""
    from workbench.measure import device

    done = {(row["kind"], row["size"], row["seed"]) for row in found.runs}
    wanted = len(design.entries) * len(design.seeds)
    seconds = {row["run"]: row["seconds"] for row in found.runs}
    searching = [row["seconds"] for row in found.searches if row["seconds"] > 0]
    return {
        "study": design.name,
        "command": command,
        "finished": len(done | _given_up(design, found)) == wanted,
        "runs": f"{len(done)} of {wanted}",
        **design.about,
        **seen(design),
        "steps": design.steps,
        "batch_size": design.batch_size,
        "length": design.length,
        "seeds": list(design.seeds),
        "rates": list(design.rates),
        "search": f"{len(design.rates)} rates of {design.search_steps} updates for each family "
        "and size, chosen by the training loss of the last tenth",
        "margin": design.margin,
        "at_an_end": at_an_end(design, found),
        "diverged": found.diverged,
        "seconds": round(sum(seconds.values()) + sum(searching), 1),
        "device": device.label(),
        "date": datetime.date.today().isoformat(),
        "order": [one.sentence for one in rankings(design, found)],
        "paper": {"source": design.source, "order": _paper(design)},
        "beside_paper": beside_paper(design, found),
    }


def seen(design: Design) -> dict[str, str]:
    """Unique bytes and epochs of a run, in words; nothing where no row comes twice."""
    data = getattr(design.task(design.entries[0].config), "data", None)
    summary = getattr(data, "summary", None)
    return {} if summary is None else {"seen": summary(design.steps, design.batch_size)}


def rankings(design: Design, found: Found) -> list[Ranking]:
    """The order within each size, as far as it is known, of families that did not diverge."""
    rows = without(found.runs, found.diverged)
    if not rows:
        return []
    return ranking(
        rows, design.value, better=design.better, within=design.within, margin=design.margin
    )


def diverged(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What diverged, in words, a line each."""
    lines = []
    for one in rows:
        where = f"{one['name']}, {one['size']}, "
        if one["seed"] == SEARCH_SEED:
            where += f"diverged at every rate, the last at step {one['step']}"
        else:
            where += f"seed {one['seed']}, diverged at step {one['step']}"
        lines.append(f"{where}: not ranked")
    return lines


def _given_up(design: Design, found: Found) -> set[tuple[str, str, int]]:
    """Runs there will never be: those that diverged, and all seeds where every rate did."""
    return {
        (one["kind"], one["size"], seed)
        for one in found.diverged
        for seed in design.seeds
        if one["seed"] in (seed, SEARCH_SEED)
    }


def beside_paper(design: Design, found: Found) -> list[str]:
    """The published order, pair by pair, and what it is here."""
    paper = _paper(design)
    return [
        f"{one.within}: {line}" for one in rankings(design, found) for line in one.beside(paper)
    ]


def at_an_end(design: Design, found: Found) -> list[str]:
    """Families whose rate lies at an end of those tried: a wider search might do better."""
    from workbench.language.studies.running import best_rate

    ends = (min(design.rates), max(design.rates))
    rates = [(entry, best_rate(found.searches, entry)) for entry in design.entries]
    return [f"{entry.name} {entry.size}: {rate:g}" for entry, rate in rates if rate in ends]


def _paper(design: Design) -> Sequence[str]:
    names = {entry.kind: entry.name for entry in design.entries}
    return [names[kind] for kind in design.paper if kind in names]
