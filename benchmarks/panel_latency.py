"""A slider moves: how long until the predicted picture is on the screen?

In Python: from the new state to the last message handed to the browser. End to end: JupyterLab in
headless Chromium, from the key press to the frame after the chart's last change, kernel and socket
included. Nothing is run meanwhile: this is the answer from recorded trials and predictions.

python benchmarks/panel_latency.py [--tiny] [--moves N]
"""

from __future__ import annotations

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from record import Benchmark, Figure

GOAL, WARM = 0.150, 3
NO_BROWSER = "skipped: the browser's side, for Chromium or playwright is not here"
NO_RUNS = 3600
"""Seconds of quiet before a run starts: none starts here."""

SLIDERS = (
    ("feature_inheritance", "interval", "Interval", 2, 20),
    ("sampling", "steps", "Steps", 20, 60),
)
"""Group, field, label and range of what is moved: a new prediction, and new axes too."""

CELL = f"""from workbench.labs.diffusion.view import DiffusionView
from workbench.panels.panel import Panel
settings = {{"sampling": {{"look": "Feature inheritance"}}}}
panel = Panel(DiffusionView(), settings=settings, quiet={NO_RUNS})
panel"""

WATCH = """() => {
  const panel = document.querySelector(".jp-OutputArea-output .wb-panel");
  window.moved = { key: 0, first: 0, last: 0 };
  const drawn = ({ type, attributeName }) =>
    type !== "attributes" || !attributeName.startsWith("data-");
  const seen = (records) => records.some(drawn) && requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      const now = performance.now();
      if (window.moved.key && !window.moved.first) window.moved.first = now;
      window.moved.last = now;
    };
    channel.port2.postMessage(0);
  });
  new MutationObserver(seen).observe(panel.querySelector("[data-slot=time_quality] .wb-chart"),
    { subtree: true, childList: true, attributes: true, characterData: true });
  panel.addEventListener("keydown", () => {
    window.moved = { key: performance.now(), first: 0, last: 0 };
  }, true);
}"""


def main() -> None:
    """Both sides."""
    more = [("--moves", {"type": int, "default": 40})]
    bench, options = Benchmark.from_command(
        __file__, "From a slider's move to the picture on the screen", more=more
    )
    moves = 4 if bench.tiny else options.moves
    taken = python_side(moves)
    bench.raw["python side"] = taken
    add(bench, "Python side", [seconds for found in taken.values() for seconds in found])
    if not bench.tiny:
        found = browser_side(moves)
        if found:
            bench.raw["in JupyterLab"] = found
            both = [seconds for moved in found.values() for seconds in moved["settled"]]
            add(bench, "in JupyterLab, key to frame", both)
    bench.finish()


def add(bench: Benchmark, where: str, seconds: list[float]) -> None:
    """Median and worst."""
    middle = 1e3 * statistics.median(seconds)
    name = f"slider to picture, {where}"
    low, high = 1e3 * min(seconds), 1e3 * max(seconds)
    bench.add(
        Figure(f"{name}: median of {len(seconds)}", middle, "ms", low, high, at_most=1e3 * GOAL),
        Figure(f"{name}: worst of {len(seconds)}", high, "ms", at_most=1e3 * GOAL),
    )


def targets(low: int, high: int, moves: int) -> list[int]:
    """Values to move to: a slider dragged up from its low end and down again."""
    way = [*range(low, high + 1), *range(high - 1, low, -1)]
    return [way[index % len(way)] for index in range(WARM + moves)]


def python_side(moves: int) -> dict[str, list[float]]:
    """Seconds from a new state to its last message, by slider."""
    from workbench.labs.diffusion.view import DiffusionView
    from workbench.panels.panel import Panel

    panel = Panel(DiffusionView(), quiet=NO_RUNS)
    sent: list[Any] = []
    panel.send = lambda *message: sent.append(message)
    panel._message(panel, {"type": "hello", "images": []}, [])
    taken: dict[str, list[float]] = {}
    for group, field, label, low, high in SLIDERS:
        taken[label] = []
        for value in targets(low, high, moves):
            state = json.loads(json.dumps(panel.state))
            state[group][field] = value
            start = time.perf_counter()
            panel.state = state
            taken[label].append(time.perf_counter() - start)
        del taken[label][:WARM]
    panel.close()
    if not sent:
        raise AssertionError("the panel said nothing")
    return taken


def browser_side(moves: int) -> dict[str, dict[str, list[float]]]:
    """Seconds from a key press to the chart's first and last frame, by slider."""
    with notebook([CELL]) as lab:
        if lab is None:
            return {}
        lab.run_all()
        lab.output("[data-slot=time_quality] svg.marks .mark-symbol path").first.wait_for()
        lab.page.wait_for_timeout(2000)
        lab.page.evaluate(WATCH)
        taken: dict[str, dict[str, list[float]]] = {}
        for _, _, label, low, high in SLIDERS:
            slider = lab.page.get_by_role("slider", name=label, exact=True).first
            slider.focus()
            found: dict[str, list[float]] = {"first": [], "settled": []}
            keys = direction(low, high, WARM + moves)
            for key in keys:
                lab.page.keyboard.press(key)
                lab.page.wait_for_function("() => window.moved.first", polling=20)
                lab.page.wait_for_timeout(500)
                moved = lab.page.evaluate("() => window.moved")
                found["first"].append((moved["first"] - moved["key"]) / 1e3)
                found["settled"].append((moved["last"] - moved["key"]) / 1e3)
            taken[label] = {name: seconds[WARM:] for name, seconds in found.items()}
        if lab.output_errors():
            raise AssertionError(lab.output_errors())
        return taken


def direction(low: int, high: int, count: int) -> list[str]:
    """Up for a while, then down, so that no end is met."""
    reach = max(1, min(5, (high - low) // 2))
    return [("ArrowRight", "ArrowLeft")[(index // reach) % 2] for index in range(count)]


@contextlib.contextmanager
def notebook(cells: list[str] | str) -> Iterator[Any]:
    """Cells, or a shipped notebook by name, open in JupyterLab in Chromium, a fresh kernel ready;
    None where there is no browser."""
    try:
        from playwright.sync_api import sync_playwright

        from tests.browser import server as servers
        from tests.browser.conftest import CHROMIUM
        from tests.browser.labpage import CHROMIUM_ARGUMENTS, LabPage
    except ImportError:
        print(NO_BROWSER)
        yield None
        return
    if not CHROMIUM:
        print(NO_BROWSER)
        yield None
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = servers.start(Path(folder))
        try:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, headless=True, args=CHROMIUM_ARGUMENTS
            )
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            lab = LabPage(page, server)
            lab.watch()
            name = cells if isinstance(cells, str) else server.write("bench.ipynb", cells)
            yield lab.open(name)
            browser.close()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
