"""One notebook open in JupyterLab in Chromium: what a person would do with it, as methods."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.artifacts import artifacts
from tests.browser.server import LabServer

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--force-color-profile=srgb",
]

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

KERNEL_READY = """() => {
  const session = window.jupyterapp?.shell?.currentWidget?.sessionContext;
  const kernel = session?.session?.kernel;
  return Boolean(session?.isReady && kernel && kernel.connectionStatus === "connected"
    && kernel.status === "idle");
}"""

ERRORS_IN_OUTPUTS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter((cell) => cell.model.type === "code")
  .flatMap((cell) => cell.model.outputs.toJSON())
  .filter((output) => output.output_type === "error")
  .map((output) => `${output.ename}: ${output.evalue}`)"""


def at_home(url: str) -> bool:
    """Whether `url` stays on this machine."""
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:"))


@dataclass
class LabPage:
    """A notebook in a page of its own; `page` is Playwright's, for everything else."""

    page: Any
    server: LabServer
    blocked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Refuse and record what would leave this machine; record errors of the page."""

        def decide(route: Any) -> None:
            if at_home(route.request.url):
                route.continue_()
            else:
                self.blocked.append(route.request.url)
                route.abort()

        def look(socket: Any) -> None:
            if not at_home(socket.url):
                self.blocked.append(socket.url)

        def heed(message: Any) -> None:
            if message.type == "error":
                self.errors.append(message.text)

        self.page.route("**/*", decide)
        self.page.on("websocket", look)
        self.page.on("console", heed)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, notebook: str, timeout: float = 90) -> "LabPage":
        """Show `notebook`, a path in the server's folder, with a new kernel, and wait for it."""
        self.server.end_sessions()
        address = f"{self.server.url}lab/tree/{quote(notebook)}?token={self.server.token}&reset"
        self.page.goto(address, timeout=timeout * 1000)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=timeout * 1000)
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")
        self.wait_idle(timeout)
        return self

    def wait_idle(self, timeout: float = 90) -> None:
        """Wait until the kernel is there and has nothing to do."""
        self.page.wait_for_function(KERNEL_READY, timeout=timeout * 1000, polling=50)

    def run_all(self, timeout: float = 120) -> None:
        """Run every cell, and wait until all have ended."""
        self.page.evaluate(
            """() => {
              window.ranAll = null;
              window.jupyterapp.commands.execute("notebook:run-all-cells")
                .then(() => { window.ranAll = "done"; }, (e) => { window.ranAll = String(e); });
            }"""
        )
        self.page.wait_for_function("() => window.ranAll", timeout=timeout * 1000, polling=50)
        result = self.page.evaluate("() => window.ranAll")
        assert result == "done", result
        self.wait_idle(timeout)

    def command(self, name: str, **arguments: Any) -> Any:
        """Run one of JupyterLab's commands, such as ``docmanager:save``."""
        script = "([name, options]) => window.jupyterapp.commands.execute(name, options)"
        return self.page.evaluate(
            f"async (given) => {{ await ({script})(given); }}", [name, arguments]
        )

    def theme(self, name: str) -> None:
        """Switch to the ``light`` or the ``dark`` theme, and wait until it shows."""
        self.command("apputils:change-theme", theme=THEMES[name])
        light = "true" if name == "light" else "false"
        self.page.wait_for_selector(f"body[data-jp-theme-light={light}]", state="attached")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def output(self, selector: str = "") -> Any:
        """What matches `selector` inside the outputs, never inside a cell's source."""
        return self.page.locator(f".jp-OutputArea-output {selector}".strip())

    def output_errors(self) -> list[str]:
        """The errors that cells ended with: ``Name: message``."""
        return self.page.evaluate(ERRORS_IN_OUTPUTS)

    def screenshot(self, name: str, selector: str | None = None) -> Path:
        """Keep a picture of the page, or of what `selector` finds, under `artifacts`."""
        file = artifacts() / f"{name}.png"
        target = self.page.locator(selector).first if selector else self.page
        target.screenshot(path=str(file))
        return file
