"""`make lint` finds a name that is not there: both checkers would pass it if told to look away."""

import subprocess
import sys

import pytest

from tests.project.tracked import ROOT, is_checkout

pytestmark = is_checkout

MISSPELT = "def total(values: list[float]) -> float:\n    return sum(valeus)\n"
RIGHT = MISSPELT.replace("valeus", "values")


def said(*command: str, source: str = "") -> str:
    """What a checker with this project's settings says."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, input=source, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def test_ruff_finds_a_misspelt_name():
    check = ["ruff", "check", "--no-cache", "--stdin-filename", "workbench/example.py", "-"]
    assert "F821" in said(*check, source=MISSPELT)
    assert "All checks passed" in said(*check, source=RIGHT)


@pytest.mark.parametrize(
    ("source", "answer"),
    [(MISSPELT, 'Name "valeus" is not defined'), (RIGHT, "Success")],
)
def test_mypy_finds_a_misspelt_name(tmp_path, source, answer):
    file = tmp_path / "example.py"
    file.write_text(source, encoding="utf-8")
    assert answer in said("mypy", "--cache-dir", str(tmp_path / "cache"), str(file))
