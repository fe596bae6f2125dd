"""How long `import workbench` takes in a fresh process, and that it loads nothing heavy."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from record import ROOT, Benchmark, Figure

HEAVY = ("jax", "flax", "pandas", "numpy", "altair", "ipywidgets")
MODULES = ("workbench", "workbench.measure.cost", "jax")
CHILD = """
import sys, time
start = time.perf_counter()
__import__(sys.argv[1])
seconds = time.perf_counter() - start
import json
print(json.dumps({"seconds": seconds, "loaded": sorted(set(sys.argv[2:]) & set(sys.modules))}))
"""


def import_once(module: str) -> dict:
    """Seconds of one import in a fresh process, and which heavy packages it loaded."""
    command = [sys.executable, "-c", CHILD, module, *HEAVY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Modules by turns, after one import each that fills the file cache."""
    bench, _ = Benchmark.from_command(__file__, "Import time in fresh processes")
    repeats = 2 if bench.tiny else 15
    for module in MODULES:
        import_once(module)
    runs = {module: [] for module in MODULES}
    for _ in range(repeats):
        for module in MODULES:
            runs[module].append(import_once(module))
    seconds = [run["seconds"] for run in runs["workbench"]]
    bench.add(
        Figure(
            "import workbench",
            statistics.median(seconds),
            "s",
            low=min(seconds),
            high=max(seconds),
            at_most=0.3,
        )
    )
    bench.raw["runs"] = runs
    bench.finish()
    loaded = runs["workbench"][0]["loaded"]
    if loaded:
        sys.exit(f"import workbench loads {', '.join(loaded)}; it must load none of {HEAVY}")


if __name__ == "__main__":
    main()
