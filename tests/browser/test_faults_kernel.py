"""A kernel killed in mid-run: the panel says so, the store is whole, the next run goes on."""

import json
import os
import signal

from tests.browser.panel_in_lab import ask, slider, state, until_state, words
from tests.browser.test_lab_runs import CELL
from tests.labs import tiny
from workbench.runs import Store

GONE = """() => document.querySelector('.wb-state').textContent
  .startsWith('The kernel is not running')"""


def test_a_kernel_killed_in_mid_run(lab_page, tmp_path):
    home = tmp_path / "home"
    model = tiny.write(tmp_path / "tiny-unet")
    lab = lab_page([CELL.format(home=str(home), model=str(model), seeds=128)])
    lab.run_all()
    until_state(lab, "predicted")
    process = int(ask(lab, "__import__('os').getpid()"))
    slider(lab, "Guidance").press("ArrowRight")
    lab.page.wait_for_function(
        "() => Number(document.querySelector('.wb-bar')?.getAttribute('aria-valuenow')) > 25",
        timeout=200_000,
    )
    os.kill(process, signal.SIGKILL)
    lab.page.wait_for_function(GONE, timeout=30_000)
    assert state(lab) == "stale"
    # The last picture stays readable.
    assert lab.output(".wb-thumb img[src]").count() >= 8
    assert lab.output("[data-slot=scoreboard] td").count() > 20

    keys = list((home / "results").rglob("*.json"))
    assert keys
    for file in keys:
        assert Store(home).recall(json.loads(file.read_text())["key"]) is not None

    if lab.page.locator(".jp-Dialog").count():
        lab.page.locator(".jp-Dialog button").first.click()
    lab.wait_idle(timeout=60)
    lab.run_all()
    until_state(lab, "predicted")
    written = {file: file.stat().st_mtime_ns for file in keys}
    slider(lab, "Guidance").press("ArrowRight")
    assert until_state(lab, "done", "error") == "done", words(lab)
    assert {file: file.stat().st_mtime_ns for file in keys} == written, "nothing was done twice"
    assert len(list((home / "results").rglob("*.json"))) == 4 * 16 > len(keys)
