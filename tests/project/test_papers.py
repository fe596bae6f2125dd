"""README, Makefile, version and citation say the same as the project does."""

import re
import tomllib

import workbench
from tests.project.tracked import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))


def commands() -> set[str]:
    from workbench.__main__ import app

    return {command.callback.__name__ for command in app.registered_commands if command.callback}


def test_make_targets_named_exist():
    named = set(re.findall(r"\bmake ([a-z-]+)", README + CONTRIBUTING))
    code = {name for name in named if f"`make {name}`" in README + CONTRIBUTING}
    lines = set(re.findall(r"^make ([a-z-]+)", README + CONTRIBUTING, flags=re.MULTILINE))
    assert {"lab", "test"} <= lines
    assert (code | lines) - TARGETS == set()


def test_make_help_names_every_target():
    told = set(re.findall(r'@echo "make ([a-z-]+)', MAKEFILE))
    (checks,) = re.findall(r"^CHECKS = (.*)$", MAKEFILE, re.MULTILINE)
    needed = re.findall(r"^[a-z-]+: (.+)$", MAKEFILE.replace("$(CHECKS)", checks), re.MULTILINE)
    parts = set(" ".join(needed).split())
    assert parts < TARGETS and "ruff" in parts
    assert told == TARGETS - parts - {"help"}


def test_commands_named_exist():
    named = set(re.findall(r"python -m workbench ([a-z]+)", README + CONTRIBUTING))
    assert {"lab", "doctor"} <= named
    assert named - commands() == set()


def test_extras_named_exist():
    named = set(re.findall(r"\.\[([a-z0-9]+)\]", README))
    assert {"cuda13", "tpu"} <= named
    extras = set(PROJECT["optional-dependencies"])
    assert named - extras == set()
    assert {"cuda12", "cuda13", "tpu", "dask", "tokamax", "test"} == extras


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", README + CONTRIBUTING):
        assert (ROOT / target).exists(), target


def test_one_version_and_one_name():
    assert PROJECT["name"] == "efficiency-workbench"
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {workbench.__version__}\n" in citation
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {workbench.__version__}" in changelog
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
