"""The rate of a plain product here, by which a run on a disturbed machine is refused.

`Watch` times plain products between the cases of a benchmark. Where their median is below 80 % of
the rate that this processor has shown, other work has disturbed the run: it is not recorded.

python benchmarks/rates.py [--threads one]    # measures the rate, into benchmarks/rates.json
"""

from __future__ import annotations

import datetime
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from record import FOLDER, THREADS, Benchmark, Figure, command, machine

FILE = FOLDER / "rates.json"
EDGE, TINY_EDGE = 2048, 128
REPEATS = 15
VALID = 0.8
"""Of the recorded rate: below it, something else was running."""


class Watch:
    """The rate of plain products over a benchmark.

    Args:
        bench: the benchmark that is watched.
        file: holds the recorded rates.
    """

    def __init__(self, bench: Benchmark, file: Path = FILE) -> None:
        self.bench = bench
        self.edge = TINY_EDGE if bench.tiny else EDGE
        self.recorded = None if bench.tiny else recorded(file)
        self.rates: list[float] = []
        self._product: Callable[[], Any] | None = None

    def __call__(self) -> None:
        """Times some products now: call it between cases."""
        from workbench.measure.timing import interleaved

        self._product = self._product or product(self.edge)
        self.add(interleaved({"product": self._product}, repeats=3)["product"].samples)

    def add(self, seconds: Iterable[float]) -> None:
        """Takes times of products of `edge` that ran beside what is measured."""
        self.rates += [2 * self.edge**3 / one for one in seconds]

    @property
    def share(self) -> float | None:
        """Median rate over the recorded one; None where none is recorded for this processor."""
        if not (self.recorded and self.rates):
            return None
        return statistics.median(self.rates) / self.recorded

    def finish(self) -> int:
        """Finishes the benchmark: 0, or 1 where the run is invalid, which is then not recorded."""
        bench, share = self.bench, self.share
        bench.raw["plain product"] = {
            "edge": self.edge, "flops_per_s": self.rates, "recorded": self.recorded,
        }  # fmt: skip
        if share is not None:
            title = f"plain product of {self.edge}²: rate over the recorded one"
            bench.add(Figure(title, share, "×", at_least=VALID))
        elif not bench.tiny:
            print(f"No rate is recorded of {key()}: python benchmarks/{Path(__file__).name}")
        invalid = share is not None and share < VALID
        if invalid:
            bench.out = None
        bench.finish()
        if invalid:
            print(f"invalid: a plain product ran below {VALID:.0%} of its rate; not recorded")
        return int(invalid)


def product(edge: int) -> Callable[[], Any]:
    """A matrix product of jax's own, in float32."""
    import jax

    square = jax.random.normal(jax.random.key(0), (edge, edge))
    run = jax.jit(lambda a: a @ a)
    return lambda: run(square)


def key() -> str:
    """The processor and the threads in use, as `rates.json` names them."""
    found = machine()
    known = (found["processor"], found["processor_model"], found["instructions"])
    words = f"{found['threads']} thread{'' if found['threads'] == 1 else 's'}"
    return "; ".join([*filter(None, known), words])


def recorded(file: Path = FILE) -> float | None:
    """The rate that this processor has shown [flop/s], None where none is recorded."""
    if not file.exists():
        return None
    rate: float | None = (
        json.loads(file.read_text(encoding="utf-8")).get(key(), {}).get("flops_per_s")
    )
    return rate


def measure(file: Path = FILE, edge: int = EDGE, repeats: int = REPEATS) -> float:
    """The best rate of some products [flop/s], written under this processor's key.

    A higher one that the same jaxlib has shown before stays.
    """
    from workbench.measure.timing import interleaved

    low = interleaved({"product": product(edge)}, repeats=repeats)["product"].low
    found = {
        "flops_per_s": float(f"{2 * edge**3 / low:.4g}"),
        "how": f"float32 product of {edge}², best of {repeats}",
        "date": datetime.date.today().isoformat(),
        "jaxlib": machine()["packages"]["jaxlib"],
        "command": command(__file__),
    }
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    before = known.get(key(), {})
    alike = all(before.get(name) == found[name] for name in ("how", "jaxlib"))
    if not (alike and before["flops_per_s"] > found["flops_per_s"]):
        ordered = dict(sorted({**known, key(): found}.items()))
        file.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return found["flops_per_s"]


def main() -> int:
    """Measures and writes; prints the rate. The short form writes nothing."""
    bench, _ = Benchmark.from_command(__file__, "The rate of a plain product", more=[THREADS])
    with tempfile.TemporaryDirectory() as folder:
        short = (Path(folder) / FILE.name, TINY_EDGE, 2)
        rate = measure(*short) if bench.tiny else measure()
    print(f"{key()}: {rate / 1e9:.4g} Gflop/s; recorded: {(recorded() or 0) / 1e9:.4g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
