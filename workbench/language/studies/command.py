"""The command line of a study."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.home import keep_compiled
from workbench.language.studies import table
from workbench.language.studies.design import Design, Entry
from workbench.language.studies.running import Found, results
from workbench.progress import Bar, Cancelled, Deadline, Throttled
from workbench.runs import Store


def main(design: Design, module: str, arguments: Sequence[str] | None = None) -> int:
    """Runs a study, or goes on with it; 0 when it is finished, 3 when it was stopped.

    Families that diverged are not ranked, and named at the end.
    """
    given = _parser(module, design).parse_args(arguments)
    design = design.tiny() if given.tiny else design
    words = ["python -m", module, *(["--tiny"] if given.tiny else [])]
    print(design.plan(), file=sys.stderr)
    keep_compiled()
    bar, found, stopped = Bar(design.name), Found(), ""
    deadline = Deadline(given.budget_minutes, Throttled(bar, 0.5))
    try:
        for found in results(design, Store(given.store), deadline):
            table.write(design, found, given.out, " ".join(words))
    except (Cancelled, KeyboardInterrupt) as reason:
        stopped = str(reason) or "stopped"
    finally:
        bar.close()
    if given.models is not None and not stopped:
        keep_models(design, found, given.models, " ".join(words))
    for one in table.rankings(design, found):
        print(one.sentence)
    if design.paper:
        print(f"{design.source}:")
        print("\n".join(table.beside_paper(design, found)))
    for line in table.diverged(found.diverged):
        print(line, file=sys.stderr)
    if stopped:
        print(f"{stopped}; the same command goes on from here", file=sys.stderr)
        return 3
    return 0


def keep_models(design: Design, found: Found, folder: Path, command: str) -> None:
    """Writes the first seed's model of each family at the largest size, with tokenizer and card."""
    from workbench.checkpoints import replace_text
    from workbench.language import save

    largest = design.entries[-1].size
    for entry in design.entries:
        weights = found.weights.get((entry.kind, entry.size))
        if entry.size != largest or weights is None:
            continue
        task: Any = design.task(entry.config)
        place = folder / f"{entry.kind}-{entry.size}"
        save(task.model(weights), place, getattr(task.data, "tokenizer", None))
        rows = [
            row
            for row in found.runs
            if (row["kind"], row["size"], row["seed"]) == (entry.kind, largest, design.seeds[0])
        ]
        replace_text(place / "card.md", model_card(design, entry, rows, command))


def model_card(
    design: Design, entry: Entry, rows: Sequence[Mapping[str, Any]], command: str
) -> str:
    """What stands beside a model: data, command, seed, seconds, what was measured.

    Args:
        rows: of its run.
    """
    run = rows[0]
    measured = [
        f"- {design.value} on what is held out"
        + ("" if design.within == "size" else f", {design.within} {row[design.within]}")
        + f": {row[design.value]:.4g}"
        for row in rows
    ]
    about = {**design.about, **table.seen(design)}
    lines = [
        f"# {entry.name}, {entry.size}\n",
        f"One model of the study `{design.name}`, trained from nothing. A toy by size: it is here "
        "so that mixers can be compared on any machine.\n",
        *(f"- {what.capitalize()}: {words}" for what, words in about.items()),
        f"- Command: `{command}`",
        f"- {run['parameters']:,} parameters; {run['steps']:,} updates of {design.batch_size} rows "
        f"of {design.length} tokens; learning rate {run['learning_rate']:g}; seed {run['seed']}",
        f"- {run['seconds']:.1f} s on {run['device']}, {run['date']}",
        *measured,
    ]
    return "\n".join(lines) + "\n"


def _parser(module: str, design: Design) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=design.plan())
    add = parser.add_argument
    add("--out", type=Path, default=Path(f"{design.name}-study"), help="folder of the tables")
    add("--store", type=Path, default=None, help="store of the runs; yours where left out")
    add("--models", type=Path, default=None, help="folder for the largest models, by family")
    add("--budget-minutes", type=float, default=None, help="stop after so long; then run again")
    add("--tiny", action="store_true", help="a few updates, to see that it works")
    return parser
