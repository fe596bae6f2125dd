"""What must never be committed, and the house's limits on what is."""

import ast
import json
import re
from pathlib import Path

import pytest

from tests.project.tracked import ROOT, files, is_checkout, texts
from workbench.syntax import syntax_tree

pytestmark = is_checkout

# Put together here, so that this file does not find itself.
REGISTRIES = re.compile("|".join(["pypi" r"\.org", "python" r"hosted\.org", "registry" r"\.npmjs"]))
SYSTEM_REPOSITORY = re.compile("deb" r"\.debian")
MACHINE_PATH = re.compile(r"/(?:work|tmp|root|home)/[A-Za-z.]")
PLACELESS = {"util", "utils", "helper", "helpers", "common", "misc"}


def lines_with(pattern: re.Pattern[str], *suffixes: str) -> list[str]:
    return [
        f"{file}:{number}: {line.strip()[:100]}"
        for file, text in texts(*suffixes)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_registry_addresses():
    assert lines_with(REGISTRIES) == []
    assert lines_with(SYSTEM_REPOSITORY) == []


def test_no_machine_paths():
    found = lines_with(MACHINE_PATH, ".py", ".md", ".ipynb", ".toml", ".json", ".cff", "")
    assert [line for line in found if not line.startswith("LICENSE")] == []


def test_files_are_short_enough():
    too_long = {
        str(file): len(text.splitlines())
        for file, text in texts(".py", ".js", ".css")
        if len(text.splitlines()) > 400
    }
    assert too_long == {}


def test_every_file_has_a_place():
    assert [str(file) for file in files() if PLACELESS & {file.stem, *file.parts[:-1]}] == []


def test_notebooks_have_no_outputs():
    for file, text in texts(".ipynb"):
        notebook = json.loads(text)
        assert "widgets" not in notebook["metadata"], file
        assert notebook["metadata"]["kernelspec"]["name"] == "python3", file
        for cell in notebook["cells"]:
            assert not cell.get("outputs"), f"{file}: run `make clean-notebooks`"
            assert cell.get("execution_count") is None, f"{file}: run `make clean-notebooks`"


@pytest.mark.parametrize("package", ["workbench", "kernels_pallas"])
def test_nothing_is_unpickled(package):
    """Neither pickle nor a reader that falls back on it."""
    for file, text in texts(".py"):
        if file.parts[0] != package:
            continue
        for node in ast.walk(syntax_tree(text)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
                roots = {name.partition(".")[0] for name in names}
                assert not roots & {"pickle", "cPickle", "dill", "shelve", "marshal"}, file
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, file
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"read_pickle", "to_pickle"}, file


def test_peers_are_asked_for_in_one_place():
    """So that pytest says in one line what runs in `make test-parity` alone."""
    assert lines_with(re.compile(r"importorskip\(.(?:torch|diffusers|transformers)\b"), ".py") == []


OPENS_NO_TEXT = {"os", "Image", "diffusion", "lab"}


def without_codec(call: ast.Call) -> bool:
    """Whether a call opens a text file in whatever codec the system prefers."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    words = {keyword.arg for keyword in call.keywords}
    if name in {"read_text", "write_text"}:
        return "encoding" not in words
    owner = getattr(getattr(call.func, "value", None), "id", "")
    if name not in {"open", "fdopen"} or (name == "open" and owner in OPENS_NO_TEXT):
        return False
    strings = [part.value for part in call.args if isinstance(part, ast.Constant)]
    return "encoding" not in words and not any("b" in str(mode) for mode in strings)


def test_text_files_say_their_codec():
    """The system's own codec is not UTF-8 on Windows."""
    assert without_codec(ast.parse("path.open('w')", mode="eval").body)
    assert not without_codec(ast.parse("path.open('rb')", mode="eval").body)
    found = [
        f"{file}:{node.lineno}"
        for file, text in texts(".py")
        if file.parts[0] != "tests"
        for node in ast.walk(syntax_tree(text))
        if isinstance(node, ast.Call) and without_codec(node)
    ]
    assert found == []


def test_constraints_are_plain_pins():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pin = re.compile(r"[a-z0-9._-]+==[0-9][\w.!+-]*( ; .+)?")
    assert [line for line in text.splitlines() if not pin.fullmatch(line)] == []


def test_no_index_is_configured():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "index" not in text
    assert not [file for file in files() if file.name in {"uv.lock", "pip.conf", "uv.toml"}]


def test_tests_look_at_something():
    assert Path("pyproject.toml") in files()
    assert len(texts(".py")) > 50
    assert lines_with(re.compile("^name = "), ".toml")
