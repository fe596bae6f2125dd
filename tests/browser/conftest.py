"""One JupyterLab and one Chromium for all browser tests; every test asserts it stayed offline."""

import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.browser import server as servers
from tests.browser.labpage import CHROMIUM_ARGUMENTS, LabPage
from tests.browser.server import LabServer

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ABSENT = "Chromium or playwright is not here (Debian: apt-get install chromium fonts-dejavu-core)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder; one line skips them all where there is no browser."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not (CHROMIUM and find_spec("playwright")):
                item.add_marker(pytest.mark.skip(reason=ABSENT))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=CHROMIUM_ARGUMENTS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """``python -m workbench lab``."""
    server = servers.start(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def base_url_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """The same under a path, as behind a JupyterHub proxy."""
    server = servers.start(tmp_path_factory.mktemp("lab-base-url"), base_url="/user/someone/")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def elsewhere_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """A JupyterLab without our files, with a kernel from another environment."""
    server = servers.start_elsewhere(tmp_path_factory.mktemp("lab-elsewhere"))
    yield server
    server.stop()


@pytest.fixture
def lab_page(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., LabPage]]:
    """Opens a notebook: ``lab_page("name.ipynb")``, or ``lab_page(["cell", ...], server=...)``.

    A list of cells is written as a notebook named after the test. The server is `lab_server`
    unless another is given. At the end nothing may have asked for an address off this machine.
    """
    opened: list[LabPage] = []

    def show(notebook: str | list[str], server: LabServer | None = None) -> LabPage:
        server = server or request.getfixturevalue("lab_server")
        if not isinstance(notebook, str):
            notebook = server.write(f"{request.node.name}.ipynb", notebook)
        context = chromium.new_context(
            viewport={"width": 1440, "height": 900}, service_workers="block", locale="en-GB"
        )
        lab = LabPage(context.new_page(), server)
        lab.watch()
        opened.append(lab)
        return lab.open(notebook)

    yield show
    for lab in opened:
        lab.page.context.close()
    assert [address for lab in opened for address in lab.blocked] == []
