"""The wheel carries everything, stays small, and works in an empty environment outside the tree."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from workbench.launch.environment import python_of

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 60_000_000  # bytes

pytestmark = pytest.mark.slow


def built(kind: str, folder: Path) -> Path:
    """The one file that a build of this tree gives; `kind` is wheel or sdist."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", folder]
    done = subprocess.run([*command, ROOT], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    file = built("wheel", tmp_path_factory.mktemp("wheel"))
    assert re.fullmatch(r"efficiency_workbench-[\w.]+-py3-none-any\.whl", file.name)
    return file


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that holds the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    interpreter, limits = str(python_of(folder)), str(ROOT / "constraints.txt")
    uv = shutil.which("uv")
    if uv:
        commands = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", interpreter, "-c", limits, str(wheel)],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", str(folder)],
            [interpreter, "-m", "pip", "install", "--quiet", "-c", limits, str(wheel)],
        ]
    for command in commands:
        done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return Path(interpreter)


def run_outside(python: Path, *arguments: str) -> str:
    """What the installed `python` prints, run in its own folder with a store of its own."""
    place = python.parents[2]
    environment = {
        name: v
        for name, v in os.environ.items()
        if not name.startswith(("JAX_NUMPY", "JAX_ENABLE"))
    }
    environment |= {"WORKBENCH_HOME": str(place / "home"), "PYTHONWARNINGS": "default"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(python), *arguments], cwd=place, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_is_small_enough(wheel):
    assert wheel.stat().st_size <= LARGEST
    assert sum(item.file_size for item in zipfile.ZipFile(wheel).infolist()) <= 2 * LARGEST


def test_wheel_carries_packages_notebooks_and_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"workbench/py.typed", "kernels_pallas/py.typed", "workbench/__main__.py"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    for folder in ("notebooks", "data"):
        listed = [f.relative_to(ROOT) for f in (ROOT / folder).rglob("*") if f.is_file()]
        kept = [file for file in listed if not any(part[0] in "._" for part in file.parts)]
        assert {f"workbench/_shipped/{file.as_posix()}" for file in kept} <= names
    scripts = {file.relative_to(ROOT).as_posix() for file in (ROOT / "workbench").rglob("*.js")}
    assert scripts <= names
    assert not [name for name in names if name.startswith("tests/") or ".ipynb_checkpoints" in name]


def test_source_archive_holds_what_its_documents_name(tmp_path):
    with tarfile.open(built("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    linked = re.findall(r"\]\(([\w./-]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(linked) > 2 and set(linked) <= names
    assert {".ci/run", ".ci/skips.py", "Makefile", "constraints.txt", "LICENSE"} <= names


def test_installed_package_finds_its_files(python):
    code = (
        "import workbench, kernels_pallas\n"
        "from workbench import shipped\n"
        "print(workbench.__file__)\n"
        "print(shipped.path('notebooks/start.ipynb'))\n"
        "print(shipped.path('data'))"
    )
    for line in run_outside(python, "-c", code).splitlines():
        assert Path(line).is_relative_to(python.parents[1]), line


def test_installed_doctor_finds_nothing_missing(python):
    report = run_outside(python, "-m", "workbench", "doctor")
    assert "\n! " not in report
    assert "cpu" in report


FIRST_PICTURE = """
import sys
from workbench.labs import diffusion

panel = diffusion.open()
assert "jax" not in sys.modules, "the first picture needs no model"
slots = {slot.id for row in panel.view.layout for slot in row}
assert slots == set(panel.picture.contents), "every slot has its content"
print(panel.status["kind"], panel.view.svg(panel.picture)[:4])
panel.close()
"""


def test_the_first_picture_is_drawn_outside_the_tree(python):
    kind, start = run_outside(python, "-c", FIRST_PICTURE).split()
    assert (kind, start) == ("idle", "<svg")
