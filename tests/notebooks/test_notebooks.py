"""Every shipped notebook, run from its first cell to its last without a browser."""

import ast
import json
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from workbench import shipped

NOTEBOOKS = sorted(shipped.path("notebooks").rglob("*.ipynb"))
LONG = ("convnets", "diffusion", "stable_diffusion", "trained_diffusion")


def marks(name: str) -> list[pytest.MarkDecorator]:
    """The first notebook is the newcomer's; the others sample and time, up to two minutes each."""
    if name == "start":
        return []
    return [pytest.mark.slow, pytest.mark.long] if name in LONG else [pytest.mark.slow]


TO_RUN = [pytest.param(file, marks=marks(file.stem)) for file in NOTEBOOKS]

ASK_PANELS = """
import gc
from workbench.panels import Panel
panels = [thing for thing in gc.get_objects() if isinstance(thing, Panel)]
assert all(panel.wait(120) for panel in panels)
print([(panel.status["kind"], panel.status["text"]) for panel in panels])
"""
"""What every panel of the notebook says of itself."""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


def run(file: Path, home: Path, work: Path, monkeypatch) -> nbformat.NotebookNode:
    # A user's kernel: none of this process's strict flags, everything private.
    for name in [name for name in os.environ if name.startswith(("JAX_NUMPY", "JAX_ENABLE"))]:
        monkeypatch.delenv(name)
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(work / name.lower()))
    monkeypatch.setenv("WORKBENCH_HOME", str(home))
    notebook = nbformat.read(file, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(ASK_PANELS))
    client = NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(work)}})
    return client.execute()


@pytest.mark.parametrize("file", TO_RUN, ids=lambda file: file.stem)
@pytest.mark.filterwarnings("default")
def test_runs_through(file, home, tmp_path, monkeypatch):
    done = run(file, home, tmp_path, monkeypatch)
    told = ast.literal_eval(done.cells.pop().outputs[0].text)
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    said = [output.text for output in outputs if output.output_type == "stream"]
    assert not [text for text in said if "Warning" in text or "Error" in text], said
    shown = [output.data for output in outputs if "data" in output]
    panels = [data for data in shown if "application/vnd.jupyter.widget-view+json" in data]
    assert panels and len(told) == len(panels)
    assert "error" not in [kind for kind, _ in told], told
    # Where no widget can live (a web page, a viewer), the first picture stands as plain HTML.
    assert "<svg" in panels[0]["text/html"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_is_committed_without_outputs(file):
    notebook = json.loads(file.read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in notebook["metadata"]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_links_lead_somewhere(file):
    import re

    text = "".join("".join(c["source"]) for c in json.loads(file.read_text())["cells"])
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("https://"):
            assert (file.parent / target).exists(), target


def test_there_are_notebooks():
    assert {"start", "diffusion"} <= {file.stem for file in NOTEBOOKS}
