"""A fresh kernel: how long from "Run all" to the first live chart?

In JupyterLab: the start notebook in headless Chromium, a new kernel for each repeat, from the
command to the first point drawn. In Python: importing the lab, opening it, and what the imports
cost by package; neither jax nor flax nor a weight may be loaded before the chart.

python benchmarks/first_chart.py [--tiny] [--repeats N]
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from panel_latency import notebook
from record import ROOT, Benchmark, Figure

GOAL = 10.0
NOTEBOOK = "start.ipynb"
POINT = "[data-slot] svg.marks .mark-symbol path"
LATE = ("jax", "jaxlib", "flax", "optax", "orbax", "torch")

OPEN = """
import json, sys, time
start = time.perf_counter()
from workbench.labs import diffusion
opener = diffusion.open
imported = time.perf_counter()
panel = opener()
opened = time.perf_counter()
assert panel.picture.contents
print(json.dumps({"import": imported - start, "open": opened - imported,
                  "modules": len(sys.modules), "loaded": sorted(sys.modules)}))
"""
LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|\s+(\S+)")


def main() -> None:
    """Both sides."""
    more = [("--repeats", {"type": int, "default": 5})]
    bench, options = Benchmark.from_command(
        __file__, "From Run all in a fresh kernel to the first live chart", more=more
    )
    repeats = 1 if bench.tiny else options.repeats
    runs = [fresh_python() for _ in range(1 + repeats)][1:]  # the first fills the file cache
    bench.raw["fresh Python"] = runs
    bench.raw["imports by package, s"] = imports_by_package()
    for part in ("import", "open"):
        spread(bench, f"{part} of the lab, fresh Python", [run[part] for run in runs])
    if not bench.tiny:
        found = in_jupyterlab(repeats)
        if found:
            bench.raw["in JupyterLab"] = found
            spread(bench, "Run all to the first live chart, JupyterLab", found[1:], GOAL)
    bench.finish()


def spread(bench: Benchmark, name: str, seconds: list[float], goal: float | None = None) -> None:
    """Median, fastest and slowest."""
    low, high = min(seconds), max(seconds)
    bench.add(Figure(name, statistics.median(seconds), "s", low, high, at_most=goal))


def fresh_python() -> dict[str, Any]:
    """Import and first picture in a Python of its own.

    Raises:
        AssertionError: where a heavy package is loaded before the chart.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", OPEN], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    loaded = set(found.pop("loaded"))
    early = [name for name in LATE if name in loaded]
    if early:
        raise AssertionError(f"loaded before the first chart: {', '.join(early)}")
    return {"process": time.perf_counter() - start, **found}


def imports_by_package() -> dict[str, float]:
    """Own import time of each package [s], the heaviest first (`python -X importtime`)."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", OPEN],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    cost: Counter[str] = Counter()
    for own, _, name in LINE.findall(done.stderr):
        cost[name.split(".")[0]] += int(own)
    return {name: own / 1e6 for name, own in cost.most_common(15)}


def in_jupyterlab(repeats: int) -> list[float]:
    """Seconds from Run all to the first point, a fresh kernel each time; the first is not warm."""
    taken = []
    with notebook(NOTEBOOK) as lab:
        for turn in range(1 + repeats if lab is not None else 0):
            if turn:
                lab.open(NOTEBOOK)
            start = time.perf_counter()
            lab.page.evaluate(
                "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
            )
            lab.output(POINT).first.wait_for(timeout=120_000)
            taken.append(time.perf_counter() - start)
            lab.wait_idle()
            if lab.output_errors():
                raise AssertionError(lab.output_errors())
    return taken


if __name__ == "__main__":
    main()
