"""Count the layers of the group-size page's networks, and time them on this machine.

python -m workbench.labs.vision.group_size_record [--only layers] [--threads one]

Times are of the processor, all threads together, which other programs on the machine move least.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.checkpoints import replace_text
from workbench.home import keep_compiled
from workbench.labs.vision.group_size_networks import (
    FOLDER,
    LAYERS,
    MOBILENET,
    NAMES,
    RESNEXT,
    SIZES,
    SMALL_MOBILENET,
    SMALL_RESNEXT,
    TIMES,
)
from workbench.labs.vision.group_size_timing import ROUNDS, label, timed
from workbench.labs.vision.recording import add_threads, card, kept_to, typed
from workbench.progress import Bar, Throttled
from workbench.vision.conv_shapes import Outline

MODULE = "workbench.labs.vision.group_size_record"
BATCHES = {32: 64, 224: 1}
"""Pictures at once, by their size."""

BESIDE = {
    MOBILENET: (8, 16, 32),
    RESNEXT: (32,),
    SMALL_MOBILENET: (4, 8, 16),
    SMALL_RESNEXT: (2, 4, 8, 16),
}
"""Fixed numbers that a size of about the same arithmetic stands beside."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    from workbench import vision

    given = _parser().parse_args(arguments)
    kept_to(given.threads)
    keep_compiled()
    outlines = {name: Outline.of(vision.published(name)) for name in NAMES}
    records = {name: one.record() for name, one in outlines.items()}
    given.out.mkdir(parents=True, exist_ok=True)
    replace_text(given.out / LAYERS, json.dumps(records) + "\n")
    if given.only == "layers":
        return 0
    bar = Bar("group sizes")
    try:
        found = {name: _times(name, outlines[name], Throttled(bar, 0.5)) for name in NAMES}
    finally:
        bar.close()
    about = card(typed(MODULE, arguments)) | {
        "clock": "processor time",
        "rounds": ROUNDS,
        "networks": found,
    }
    replace_text(given.out / TIMES, json.dumps(about, indent=1) + "\n")
    return 0


def _times(name: str, outline: Outline, report: Any) -> dict[str, Any]:
    size = outline.size
    able = [s for s in SIZES if all(width % s == 0 for width in outline.widths)]
    asked = [("size", s) for s in able] + [("groups", n) for n in BESIDE[name]]
    times = timed(name, size, BATCHES[size], asked, report)
    rows: list[dict[str, Any]] = []
    for (rule, number), one in times.items():
        rows.append({"rule": rule, "number": number, **_quartiles(one.cpu_samples)})
        print(f"{NAMES[name]}, {label((rule, number))}: {1e3 * rows[-1]['median']:.2f} ms")
    return {"size": size, "batch": BATCHES[size], "rows": rows}


def _quartiles(seconds: Sequence[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return {"median": round(median, 6), "low": round(low, 6), "high": round(high, 6)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    parser.add_argument("--out", type=Path, default=Path(FOLDER), help="folder that is written")
    parser.add_argument("--only", choices=["layers"], help="count, and time nothing")
    add_threads(parser)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
