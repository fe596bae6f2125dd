"""`import workbench` is quick and light, and no module of ours does anything when imported."""

import json
import subprocess
import sys
import time

import pytest

HEAVY = {"jax", "flax", "pandas", "numpy", "scipy", "altair", "ipywidgets", "anywidget", "typer"}


def in_new_process(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_import_is_light():
    loaded = in_new_process("import json, sys, workbench; print(json.dumps(list(sys.modules)))")
    roots = {name.partition(".")[0] for name in json.loads(loaded)}
    assert roots & HEAVY == set()


def test_import_is_quick():
    code = "import time; t = time.perf_counter(); import workbench; print(time.perf_counter() - t)"
    assert min(float(in_new_process(code)) for _ in range(3)) < 0.3


def test_command_line_answers_without_jax():
    code = (
        "import sys; sys.argv = ['workbench', '--version']\n"
        "from workbench.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert 'jax' not in sys.modules"
    )
    began = time.perf_counter()
    assert in_new_process(code).strip().count(".") == 2
    assert time.perf_counter() - began < 10


def test_public_names_resolve():
    import workbench

    for name in workbench.__all__:
        assert getattr(workbench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = workbench.nothing


@pytest.mark.slow
def test_importing_everything_starts_no_device():
    """Every module is imported in one new process; no JAX backend may have come up by that."""
    code = """
import importlib, pkgutil, workbench, kernels_pallas
for package in (workbench, kernels_pallas):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
"""
    in_new_process(code)
