"""Settings under which every test runs: strict JAX, a private store, no shared compile cache."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# JAX reads these when it is first imported, which no conftest does: hence the environment.
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)

_home = tempfile.TemporaryDirectory(prefix="workbench-tests-")
os.environ["WORKBENCH_HOME"] = _home.name


@pytest.fixture
def workbench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of this test's own, empty at its start."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("WORKBENCH_HOME", str(home))
    yield home
