"""Settings under which every test runs: strict JAX, checked shapes, a private store."""

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

# JAX reads these when it is first imported, which no plugin and no conftest does.
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

# XLA cuts a program in up to 32 parts for the threads of its compiler; where each core has a test
# process of its own, one part takes a fifth less time.
flags = [os.environ.get("XLA_FLAGS", "")]
if "PYTEST_XDIST_WORKER" in os.environ:
    flags.append("--xla_cpu_parallel_codegen_split_count=1")

# What a browser shows, what torch is compared with and the long tests are compiled as users compile
# it. The others are thousands of small programs that run once or twice: they are not optimized, and
# jax before 0.11 builds no MLIR for each fusion, which no flag of later versions leaves out.
if os.environ.get("QUICK_COMPILES"):
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"
    if version("jax").startswith("0.10."):
        flags.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join(flags).strip()

_store = tempfile.TemporaryDirectory(prefix="workbench-tests-")
os.environ["WORKBENCH_HOME"] = _store.name

if "workbench" not in sys.modules:
    from jaxtyping import install_import_hook

    import tests.typecheck  # the hook below looks the checker up, and does not import it

    assert tests.typecheck.shapes
    install_import_hook(["workbench", "kernels_pallas"], "tests.typecheck.shapes")

BEGAN = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--seconds`, for a suite that takes what time there is."""
    words = "skip the tests that would begin later than this many seconds after the start"
    parser.addoption("--seconds", type=float, default=math.inf, help=words)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what no time is left for, and says so."""
    if time.monotonic() - BEGAN > item.config.getoption("--seconds"):
        pytest.skip("no time was left")


@pytest.fixture
def workbench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of this test's own, empty at its start."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("WORKBENCH_HOME", str(home))
    return home


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """For a test of our own message for an array of the wrong shape: the checker stays silent."""
    from jaxtyping import config

    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, or of what `@pytest.mark.parametrize(..., indirect=True)` says."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={getattr(request, 'param', '1m')}", "tmpfs", str(place)]
    if not shutil.which("mount"):
        pytest.skip("there is no `mount` here")
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for the tests of one file."""
    from tests.panels.panel_host import chromium

    with chromium() as found:
        yield found


@pytest.fixture
def host_of(browser: Any) -> Iterator[Callable[..., Any]]:
    """Shows a panel on a page; at the end no page may have told of an error."""
    from tests.panels.panel_host import Host

    hosts: list[Host] = []

    def show(panel: Any, **more: Any) -> Host:
        hosts.append(Host(browser, panel, **more))
        return hosts[-1]

    yield show
    for host in hosts:
        assert host.errors == []
        host.close()
