"""The scaling lab's panels in a browser: first pictures, a slider by key, a table, an export."""

import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.panels.panel_host import Host
from workbench.labs.scaling import tables
from workbench.labs.scaling.bias_view import BiasView
from workbench.labs.scaling.compare_view import CompareView
from workbench.labs.scaling.decide_view import DecideView
from workbench.labs.scaling.envelope_view import EnvelopeView
from workbench.labs.scaling.fit_view import FitView
from workbench.labs.scaling.plan_view import PlanView
from workbench.labs.scaling.precision_view import PrecisionView
from workbench.labs.scaling.sweep_view import SweepView
from workbench.labs.scaling.test_time_view import AnswersView

pytestmark = [
    pytest.mark.usefixtures("workbench_home"),
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not here"),
]


@pytest.mark.parametrize(
    ("view", "charts"),
    [
        (FitView, 5),
        (DecideView, 4),
        (CompareView, 3),
        (EnvelopeView, 2),
        (PrecisionView, 4),
        (AnswersView, 2),
        (BiasView, 2),
        (PlanView, 1),
        (SweepView, 1),
    ],
)
def test_the_first_picture_is_there_and_nothing_overflows(
    show: Callable[..., Host], view: Any, charts: int
) -> None:
    host = show(view(), charts, width=844)
    assert host.page.locator(".wb-empty:visible").count() == 0
    wide = "() => document.querySelector('.wb-panel').scrollWidth"
    assert host.page.evaluate(wide) <= 844


def test_a_budget_moves_by_key_and_is_answered(show: Callable[..., Host]) -> None:
    host = show(DecideView(), 4)
    before = host.text("[data-slot=figures]")
    budget = host.panel.settings["decision"]["compute"]
    knob = host.page.get_by_role("slider", name="Compute", exact=True)
    knob.focus()
    knob.press("Shift+ArrowRight")
    host.until(lambda: host.text("[data-slot=figures]") != before, 20)
    assert host.panel.settings["decision"]["compute"] == pytest.approx(10 * budget)
    chart = host.page.locator("[data-slot=sizes]")
    assert "extrapolated" in str(chart.locator("svg.marks").text_content())
    assert chart.locator(".hatching_marks line").count() > 30


def test_a_table_is_brought_fitted_and_leaves_with_its_record(
    show: Callable[..., Host], tmp_path: Path
) -> None:
    file = tmp_path / "mine.csv"
    runs = tables.simulated().runs.head(45)
    brought = runs.rename(columns={"n_params": "params", "loss": "val_loss"})
    brought[["params", "n_tokens", "val_loss"]].to_csv(file, index=False)
    host = show(FitView(), 5)
    host.panel.load({"fit": {"resamples": 50}, "runs": {"source": "file", "file": str(file)}})
    host.until(lambda: host.panel.status["kind"] == "done", 90)
    host.until(lambda: "by its name, params" in host.text("[data-slot=read]"))
    host.page.get_by_role("button", name="Export").click()
    with host.page.expect_download() as download:
        host.page.get_by_role("menuitem", name="Figure and data").click()
        host.pump(6.0)
    assert download.value.suggested_filename == "scaling-fit.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert "scaling-fit/fit.json" in archive.namelist()
