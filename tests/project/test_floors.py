"""Imports go down the floors, and the contract that says so can fail."""

import subprocess
import sys

from tests.project.tracked import ROOT

LINT = "from importlinter.cli import lint_imports_command as lint; lint()"


def test_layer_contract_holds():
    command = [sys.executable, "-c", LINT, "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_layer_contract_catches_an_upward_import(tmp_path):
    package = tmp_path / "workbench"
    for name in ("panels", "figures"):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text("", encoding="utf-8")
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "figures" / "__init__.py").write_text("import workbench.panels", encoding="utf-8")
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_package = workbench\n"
        "[importlinter:contract:floors]\nname = floors\ntype = layers\n"
        "containers = workbench\nlayers =\n  panels\n  figures\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-c", LINT, "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert "workbench.figures is not allowed to import workbench.panels" in done.stdout
