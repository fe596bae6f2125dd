"""A JupyterLab server for browser tests, started as a user starts it, in folders of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]

# `window.jupyterapp` lets a test press what a menu would, without searching the menus.
SERVER_CONFIG = {"LabApp": {"expose_app_in_browser": True}}


def private_environment(folder: Path) -> dict[str, str]:
    """The variables under which nothing of the user's Jupyter or cache is read or written."""
    config = folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "jupyter_server_config.json").write_text(json.dumps(SERVER_CONFIG), encoding="utf-8")
    wanted = {
        "JUPYTER_CONFIG_DIR": config,
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        "IPYTHONDIR": folder / "ipython",
        "WORKBENCH_HOME": folder / "home",
        # A user's kernels find what earlier ones compiled: so do those of all servers here.
        "JAX_COMPILATION_CACHE_DIR": folder.parent / "compiled",
    }
    # The strict flags are for our tests' own process; a user's kernel runs without them.
    inherited = {
        name: v
        for name, v in os.environ.items()
        if not name.startswith(("JAX_NUMPY", "JAX_ENABLE"))
    }
    told = {"BROWSER": "none", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
    return inherited | {name: str(path) for name, path in wanted.items()} | told


@dataclass
class LabServer:
    """A running server: its address, its token, and the folder whose notebooks it shows."""

    url: str
    token: str
    folder: Path
    process: subprocess.Popen[str]
    kernel: str = "python3"
    log: Path = field(default=Path())

    def api(self, method: str, path: str) -> object:
        """Call the server's REST interface."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def end_sessions(self) -> None:
        """End every kernel: they outlive their page, and the next notebook would reuse one."""
        sessions = self.api("GET", "api/sessions")
        assert isinstance(sessions, list)
        for session in sessions:
            self.api("DELETE", f"api/sessions/{session['id']}")

    def write(self, name: str, cells: Sequence[str]) -> str:
        """Put a notebook of code `cells` into the folder; returns its name."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": self.kernel, "display_name": self.kernel}},
        )
        nbformat.write(notebook, self.folder / name)
        return name

    def stop(self) -> int:
        """End the server as Ctrl-C does; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def _answering(server: LabServer, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.process.poll() is not None:
            break
        try:
            server.api("GET", "api/status")
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    server.stop()
    raise RuntimeError(f"JupyterLab did not answer:\n{server.log.read_text(encoding='utf-8')}")


def _launch(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
) -> subprocess.Popen[str]:
    with log.open("w", encoding="utf-8") as stream:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=stream, stderr=stream, text=True
        )


def start(folder: Path, *, base_url: str = "/") -> LabServer:
    """Start ``python -m workbench lab`` with all its folders under `folder`."""
    shown, log = folder / "notebooks", folder / "lab.log"
    environment = private_environment(folder)
    command = [sys.executable, "-m", "workbench", "lab", "--no-browser", "--folder", str(shown)]
    process = _launch([*command, "--base-url", base_url], environment, folder, log)
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        address = re.search(
            r"(http://127\.0\.0\.1:\d+\S*?/)lab/tree/\S*\?token=(\S+)",
            log.read_text(encoding="utf-8"),
        )
        if address:
            server = LabServer(address[1], address[2], shown, process, log=log)
            _answering(server)
            return server
        time.sleep(0.1)
    process.kill()
    raise RuntimeError(f"the lab printed no address:\n{log.read_text(encoding='utf-8')}")


def start_elsewhere(folder: Path) -> LabServer:
    """Start a plain JupyterLab that knows nothing of ours, with a kernel of another environment.

    Its extension folder holds everybody's extensions but ours, and its kernel is a virtual
    environment with a prefix of its own.
    """
    from workbench.launch import lab, labextension

    environment = private_environment(folder)
    shown, log, other = folder / "notebooks", folder / "lab.log", folder / "other"
    shown.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    packages = next(other.glob("lib/python*/site-packages"))
    (packages / "borrowed.pth").write_text(
        "\n".join([str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]),
        encoding="utf-8",
    )
    kernel = Path(environment["JUPYTER_DATA_DIR"]) / "kernels" / "elsewhere" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [str(other / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(
        json.dumps({"argv": argv, "display_name": "elsewhere", "language": "python"}),
        encoding="utf-8",
    )
    extensions = folder / "extensions"
    extensions.mkdir()
    for installed in (Path(sys.prefix) / "share" / "jupyter" / "labextensions").iterdir():
        if installed.name != labextension.NAME:
            (extensions / installed.name).symlink_to(installed)
    environment |= lab.write_settings(folder / "settings-of-launch")
    token, port = "elsewhere", lab.free_port(9100)
    environment["JUPYTER_TOKEN"] = token
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        *lab.arguments(shown, port, "/", "", browser=False),
        f"--LabApp.labextensions_path={extensions}",
    ]
    process = _launch(command, environment, folder, log)
    url = f"http://127.0.0.1:{port}/"
    server = LabServer(url, token, shown, process, kernel="elsewhere", log=log)
    _answering(server)
    return server
