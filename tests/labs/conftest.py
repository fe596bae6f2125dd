"""A store and a finished run of the lab on the tiny model, shared by the tests of what follows."""

from collections.abc import Callable
from typing import Any

import jax
import pytest

from tests.labs import tiny
from tests.labs.vision_pages import quickly_compiled, rates  # noqa: F401  (asked for by name)
from workbench.labs.diffusion import sampling_study
from workbench.labs.diffusion.view import DiffusionView
from workbench.panels.panel import Panel
from workbench.panels.settings import accepted, start
from workbench.progress import silent


@pytest.fixture(scope="session")
def lab_store(tmp_path_factory):
    """One folder for all files here, so that no picture is sampled twice."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def home(lab_store):
    """The store the lab keeps its pictures in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(lab_store))
        jax.config.update("jax_disable_most_optimizations", True)  # many small programs
        yield lab_store
        jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def tiny_ships(monkeypatch):
    """The tiny model in the place of the shipped one."""
    monkeypatch.setattr(sampling_study, "pipeline", lambda folder=None: tiny.pipeline())


@pytest.fixture(scope="module")
def finished(home):
    """A view after a run, its settings, and the pictures it handed out."""
    view = DiffusionView(pipeline=tiny.pipeline())
    values = accepted(view, start(view, tiny.SMALL))
    before = view.predict(values)
    return view, values, before, list(view.run(values, silent))


@pytest.fixture
def show(host_of: Callable[..., Any]) -> Callable[..., Any]:
    """Shows a view on a page, and waits until it has so many charts."""

    def open_view(view: Any, charts: int, **more: Any) -> Any:
        host = host_of(Panel(view, quiet=0.1), **more)
        host.until(lambda: host.page.locator("svg.marks").count() >= charts, 30)
        return host

    return open_view
