"""The server's run: it parses, takes no input, and lets no browser test be skipped in silence."""

import os
import subprocess
import sys

import pytest

from tests.project.tracked import ROOT, is_checkout

pytestmark = is_checkout

SKIPS = ROOT / ".ci" / "skips.py"
REPORT = """<testsuites><testsuite>
<testcase classname="tests.browser.test_a" name="test_ran"/>
<testcase classname="tests.browser.test_a" name="test_left">{mark}</testcase>
</testsuite></testsuites>"""


def verdict(tmp_path, mark: str, listing: str = "# nothing\n", report: str = REPORT):
    (tmp_path / "report.xml").write_text(report.format(mark=mark), encoding="utf-8")
    (tmp_path / "allowed.txt").write_text(listing, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(SKIPS), "report.xml", "allowed.txt"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


def test_run_parses_and_may_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    done = subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "stage", ["ruff", "format", "types", "floors", "test", "browser", "parity"]
)
def test_every_stage_is_run(stage):
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith(f"stage {stage} ")]


def test_skip_without_leave_fails(tmp_path):
    done = verdict(tmp_path, '<skipped message="no Chromium"/>')
    assert done.returncode == 1
    assert "tests.browser.test_a.test_left: no Chromium" in done.stdout


def test_skip_listed_with_its_reason_passes(tmp_path):
    skip = '<skipped message="no GPU"/>'
    assert verdict(tmp_path, skip, "tests.browser.test_a.test_left: needs a GPU\n").returncode == 0
    assert verdict(tmp_path, skip, "tests.browser.test_a.test_left: \n").returncode == 1


def test_nothing_skipped_passes_and_nothing_run_fails(tmp_path):
    assert verdict(tmp_path, "").returncode == 0
    assert verdict(tmp_path, "", report="<testsuites/>").returncode == 1
