"""Runs in the live lab on a tiny model: points fill, stop, bad values, clicks, exports, code."""

import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.browser.panel_in_lab import (
    CELLS,
    ask,
    box,
    drawn,
    marks,
    slider,
    state,
    until_changed,
    until_state,
    words,
)
from tests.browser.server import ROOT, private_environment
from tests.labs import tiny

CELL = """import os
os.environ["WORKBENCH_HOME"] = {home!r}
from workbench.labs import diffusion
model = diffusion.pipeline({model!r})
settings = {{
    "sampling": {{"steps": 8, "seeds": {seeds}, "look": "Fewer steps"}},
    "encoder_propagation": {{"key_steps": "uniform", "interval": 4, "largest_group": 2}},
    "feature_inheritance": {{"interval": 4}},
    "fewer_steps": {{"steps": 7}},
}}
panel = diffusion.open(pipeline=model, settings=settings)
panel"""
FILES = ["zip", "svg", "png", "pdf", "html", "csv", "json"]
CHARTS = 6
"""Charts, scoreboard and pictures of the panel, each a file of its own."""
TABLE = ["trial_id", "method", "seed", "quality.ssim", "quality.psnr"]
LOOKED_AT = """() => [
  ...[...document.querySelectorAll("[data-slot=grid] .wb-thumb img")].slice(24, 32),
  document.querySelectorAll("[data-slot=split] .wb-split img")[1],
].map((image) => image.naturalWidth ? image.src : "")"""
"""Last row of the grid and the split's accelerated side; equal pictures share an address."""
POINT = """(code) => [...document.querySelectorAll(
    "[data-slot=time_quality] svg.marks .mark-symbol path")].find((path) =>
  (path.getAttribute("aria-label") || "").includes(code) || path.__data__?.datum?.load === code)
"""
"""The mark of a plan in the first chart."""
UNCOVERED = """(path) => {
  const reach = (one) => one.getBoundingClientRect();
  const mine = reach(path);
  const others = [...path.closest("svg").querySelectorAll(".mark-symbol path")]
    .filter((one) => one !== path).map(reach);
  const shares = [0.5, 0.3, 0.7, 0.1, 0.9];
  return shares.flatMap((x) => shares.map((y) =>
      [mine.x + x * mine.width, mine.y + y * mine.height]))
    .find(([x, y]) => others.every((one) =>
      x < one.left || x > one.right || y < one.top || y > one.bottom)) || null;
}"""
"""A place on a mark where no other one lies."""


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("model") / "tiny-unet")


@pytest.fixture
def cell(model, tmp_path):
    """The notebook cell, with a store of this test's own, so that runs take their time."""

    def text(seeds=8, home=None):
        return CELL.format(home=str(home or tmp_path / "home"), model=str(model), seeds=seeds)

    return text


def hollow(lab):
    """How many marks of the first chart are hollow, and how many filled."""
    shown = json.loads(
        ask(
            lab,
            "__import__('json').dumps([row['predicted'] for row in "
            "panel.picture.contents['time_quality'].rows['live']])",
        ).strip("'")
    )
    return shown.count(True), shown.count(False)


def test_a_run_fills_the_marks_and_everything_follows(lab_page, cell, tmp_path):
    """One run, then what is done with it: clicks, files, and code that makes the same table."""
    lab = lab_page([cell(), "pass"])
    lab.run_all()
    assert until_state(lab, "predicted") and words(lab) == "Predicted, not measured"
    lab.output(".wb-status button:visible").last.click()
    until_state(lab, "running", "compiling", timeout=20)
    assert lab.output(".wb-status").get_by_text("Stop", exact=True).count() == 1
    assert until_state(lab, "done", "error") == "done", words(lab)
    assert words(lab).startswith("Done in ")
    drawn(lab)
    filled = marks(lab)
    assert hollow(lab)[0] == 0 and hollow(lab)[1] >= 4 and len(filled) >= 4
    lab.page.wait_for_function(
        "() => document.querySelectorAll('.wb-thumb img[src]').length === 32"
    )
    _thumbnail(lab)
    _export(lab, tmp_path)
    _copied_code(lab)
    _click_on_a_point(lab)
    assert lab.output_errors() == [] and lab.errors == []


def _thumbnail(lab):
    title = lab.output("[data-slot=split] h3")
    assert title.inner_text().startswith("Seed 0")
    pictures = "[data-slot=split] .wb-split img"
    before = lab.output(pictures).nth(1).get_attribute("src")
    lab.output(".wb-thumb").nth(3 * 8 + 5).click()
    lab.page.wait_for_function(
        "() => document.querySelector('[data-slot=split] h3').textContent.startsWith('Seed 5')"
    )
    assert lab.output(".wb-split .wb-tag").nth(1).inner_text() == "Fewer steps"
    assert lab.output(pictures).nth(1).get_attribute("src") != before


def _export(lab, folder):
    import pandas as pd
    from PIL import Image

    for kind in FILES:
        lab.output("button:has-text('Export')").first.click()
        entries = lab.page.get_by_role("menu").get_by_role("menuitem")
        assert entries.count() == len(FILES) + CHARTS + 1
        note = {"zip": ".zip", "html": ".html"}.get(kind, f".{kind}")
        with lab.page.expect_download(timeout=60_000) as found:
            entries.filter(has_text=note).first.click()
        file = folder / found.value.suggested_filename
        found.value.save_as(file)
        content = file.read_bytes()
        assert file.suffix == f".{kind}"
        if kind == "svg":
            assert ElementTree.fromstring(content).tag.endswith("svg")
        elif kind == "png":
            Image.open(io.BytesIO(content)).load()
        elif kind == "pdf":
            assert content.startswith(b"%PDF-")
        elif kind == "html":
            _opens_offline(lab, file)
        elif kind == "csv":
            frame = pd.read_csv(file)
            kept = ask(lab, f"panel.view.comparison(panel.values).tables.trials[{TABLE}].to_csv()")
            assert list(frame["trial_id"]) and all(i in kept for i in frame["trial_id"])
            assert len(frame) == 4 * 8
        elif kind == "json":
            assert json.loads(content)["panel"]["sampling"]["steps"] == 8
        else:
            with zipfile.ZipFile(file) as archive:
                assert archive.testzip() is None
            _rebuilds(file)


def _opens_offline(lab, file):
    """The page draws its chart from the file alone."""
    page = lab.page.context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{file}")
    page.locator("svg.marks .mark-symbol path").first.wait_for(timeout=30_000)
    page.close()
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked), asked


def _rebuilds(file):
    import subprocess
    import sys

    command = [sys.executable, "-m", "workbench", "figure", str(file), "--check"]
    environment = private_environment(file.parent / "environment")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _copied_code(lab):
    """What the button copies, pasted into the last cell and run, gives the panel's table."""
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.output("button:has-text('Copy code')").click()
    lab.page.wait_for_function(
        "() => document.querySelector('.wb-state').textContent === 'Code copied'"
    )
    text = lab.page.evaluate("() => navigator.clipboard.readText()")
    assert "compare(methods, study, repeats=5)" in text and "Feature" in text
    last = lab.page.locator(".jp-Notebook .jp-CodeCell").last.locator(".cm-content")
    last.click()
    lab.page.keyboard.press("Control+A")
    lab.page.keyboard.press("Control+V")
    lab.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.content.widgets.at(-1)"
        ".model.sharedModel.source.includes('compare(methods, study, repeats=5)')"
    )
    lab.page.keyboard.press("Shift+Enter")
    lab.page.wait_for_timeout(200)
    lab.wait_idle(timeout=200)
    assert lab.output_errors() == []
    same = (
        f"(lambda a, b: (a[{TABLE[:3]!r}].equals(b[{TABLE[:3]!r}]), "
        f"float(abs(a[{TABLE[3:]!r}] - b[{TABLE[3:]!r}]).max().max()) < 1e-4, len(a)))"
        "(comparison.tables.trials, panel.view.comparison(panel.values).tables.trials)"
    )
    assert ask(lab, same) == "(True, True, 32)"


def _click_on_a_point(lab):
    """After another setting, a click on the measured point brings it back, pictures and all."""
    number = box(lab, "Steps instead")
    before, pictures = marks(lab), lab.page.evaluate(LOOKED_AT)
    assert all(pictures) and len(set(pictures[:8])) == 8 and pictures[8] == pictures[5]
    number.fill("2")
    number.press("Enter")
    until_changed(lab, before)
    assert until_state(lab, "done", "error") == "done", words(lab)
    assert number.input_value() == "2"
    lab.page.wait_for_function(
        f"(old) => ({LOOKED_AT})().every((one) => one && !old.includes(one))", arg=pictures
    )
    point = lab.page.evaluate_handle(POINT, "FewerSteps(steps=7)").as_element()
    assert point is not None
    point.scroll_into_view_if_needed()
    point.wait_for_element_state("stable")
    place = point.evaluate(UNCOVERED)
    assert place is not None, "another mark covers the point"
    lab.page.mouse.move(*place)
    lab.page.mouse.click(*place)
    lab.page.wait_for_function("(box) => box.value === '7'", arg=number.element_handle())
    # The click also chose the method looked at: new settings, whose run is read from the store.
    assert ask(lab, "panel.wait(60)") == "True"
    until_state(lab, "cached", "done")
    assert ask(lab, "panel.status['kind']") in ("'cached'", "'done'")
    lab.page.wait_for_function(
        f"""(old) => {{
          const [, seed] = document.querySelector("[data-slot=split] h3").textContent.split(/[ ,]/);
          const wanted = [...old.slice(0, 8), old[seed]];
          return ({LOOKED_AT})().every((one, place) => one === wanted[place]);
        }}""",
        arg=pictures,
    )


def test_stop_keeps_the_picture_and_a_later_run_works(lab_page, cell):
    lab = lab_page([cell(seeds=128)])
    lab.run_all()
    until_state(lab, "predicted")
    slider(lab, "Guidance").press("ArrowRight")
    lab.page.wait_for_function(
        "() => Number(document.querySelector('.wb-bar')?.getAttribute('aria-valuenow')) > 22",
        timeout=200_000,
    )
    lab.page.keyboard.press("Escape")
    assert until_state(lab, "stopped", "done", timeout=60) == "stopped"
    assert words(lab).startswith("Stopped at ")
    lab.output(".wb-thumb img[src]").nth(7).wait_for()
    lab.output("[data-slot=scoreboard] td").nth(20).wait_for(state="attached")
    box(lab, "Seeds").fill("8")
    box(lab, "Seeds").press("Enter")
    assert until_state(lab, "done", "error") == "done", words(lab)
    assert hollow(lab)[0] == 0
    # The same with the button, in a run of which nothing is known yet.
    slider(lab, "Guidance").press("ArrowRight")
    box(lab, "Seeds").fill("128")
    box(lab, "Seeds").press("Enter")
    lab.output(".wb-status").get_by_text("Stop", exact=True).click(timeout=60_000)
    assert until_state(lab, "stopped", timeout=60) == "stopped"
    assert lab.output_errors() == []


def test_a_bad_value_says_so_and_runs_nothing(lab_page, cell):
    lab = lab_page([cell()])
    lab.run_all()
    until_state(lab, "predicted")
    drawn_before = marks(lab)
    steps = box(lab, "Steps")
    steps.fill("3")
    steps.press("Enter")
    assert until_state(lab, "invalid", timeout=10)
    row = lab.output(".wb-row").filter(has=steps)
    assert (
        row.locator(".wb-problem")
        .inner_text()
        .endswith("Steps must be between 6 and 200. You gave 3")
    )
    assert lab.page.get_by_role("alert").first.inner_text().startswith("Steps must be")
    lab.page.wait_for_timeout(1000)
    assert state(lab) == "invalid" and marks(lab) == drawn_before
    assert ask(lab, "panel._worker.busy") == "False"
    steps.fill("8")
    steps.press("Enter")
    until_state(lab, "predicted", "running", "compiling", "done")
    assert row.locator(".wb-problem").is_hidden()
    steps.fill("many")
    steps.press("Escape")
    assert steps.input_value() == "8"
    assert until_state(lab, "done", "error") == "done"


def test_no_key_reaches_the_notebook(lab_page, cell):
    lab = lab_page([cell(), "1 + 1"])
    lab.run_all()
    until_state(lab, "predicted")
    lab.output("[data-slot=arithmetic] svg.marks").wait_for()
    before = lab.page.evaluate(CELLS)
    stops = lab.output(
        ".wb-panel :is(button, input, select, [tabindex='0']):not([tabindex='-1']):visible"
    )
    pressed = 0
    for index in range(stops.count()):
        stop = stops.nth(index)
        stop.focus()
        for key in ("b", "x", "a", "ArrowDown", "ArrowUp", "Backspace", "d", "d"):
            lab.page.keyboard.press(key)
        lab.page.keyboard.press("Escape")
        pressed += 1
        assert lab.page.evaluate(CELLS) == before, stop.evaluate("e => e.outerHTML")[:200]
    assert pressed > 20
    assert lab.page.locator(".jp-Notebook .jp-Cell.jp-mod-selected").count() <= 1


OWN = """from workbench.diffusion.plan import Plan
from workbench.diffusion.planned import PlannedSampling
from workbench.study import Knobs, knob

class FullThenShallow(PlannedSampling):
    name = "Full, then shallow"

    class Knobs(Knobs):
        start: int = knob(3, ge=1, le=50, unit="steps", help="Steps in full before the rest.")

    def plan(self, steps):
        return Plan.from_full_steps(range(self.knobs.start), steps, "shallow")

panel = diffusion.open([*diffusion.DEFAULT, FullThenShallow], pipeline=model, settings=settings |
    {"sampling": settings["sampling"] | {"look": "Full, then shallow"}})
panel"""


def test_a_method_from_a_notebook_cell(lab_page, cell):
    lab = lab_page([cell() + "; None", OWN, "pass"])
    lab.run_all()
    until_state(lab, "predicted")
    group = lab.output().get_by_role("group", name="Full, then shallow")
    assert group.get_by_role("slider", name="Start").count() == 1
    group.get_by_role("slider", name="Start").press("ArrowRight")
    assert until_state(lab, "done", "error") == "done", words(lab)
    assert lab.output(".wb-grid-label").all_inner_texts()[-1] == "Full, then shallow"
    assert ask(lab, "panel.settings['full_then_shallow']['start']") == "4"
    assert hollow(lab)[0] == 0
    text = ask(lab, "panel.view.code(panel.values)")
    assert "from __main__ import FullThenShallow" in text and "FullThenShallow(start=4)" in text
    assert lab.output_errors() == []


@pytest.mark.parametrize("kind", ["elsewhere_server", "base_url_server"])
def test_other_kernels_and_other_addresses(lab_page, cell, request, kind):
    lab = lab_page([cell()], server=request.getfixturevalue(kind))
    lab.run_all()
    until_state(lab, "predicted")
    lab.output("[data-slot=arithmetic] svg.marks path").first.wait_for(timeout=60_000)
    slider(lab, "Interval").last.press("ArrowRight")
    assert until_state(lab, "done", "error") == "done", words(lab)
    drawn(lab)
    assert len(marks(lab)) >= 4
    assert lab.output_errors() == []
