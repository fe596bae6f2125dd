"""Start JupyterLab: on a copy of the notebooks, on loopback, with a token, and quietly."""

import getpass
import json
import os
import secrets
import socket
import sys
from pathlib import Path

from workbench import home, shipped
from workbench.atomic import replace_file
from workbench.launch import labextension, notebooks

FOLDER = "my-notebooks"
START = "start.ipynb"

# Neither the news toast nor the look for updates: the first minute belongs to the notebook, and
# the lab makes no request to the outside.
QUIET = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": False,
    }
}


def free_port(first: int = 8888, tries: int = 100) -> int:
    """The first free loopback port from `first` on: mostly the same one, which suits ``ssh -L``."""
    for port in range(first, first + tries):
        with socket.socket() as probe:
            if sys.platform != "win32":  # as the server itself will ask for it
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {first} and {first + tries - 1} on 127.0.0.1")


def browser_at_hand() -> bool:
    """Whether a browser can open here: a desktop, not a remote shell, and not ``BROWSER=none``."""
    chosen = os.environ.get("BROWSER", "")
    if chosen.lower() == "none":
        return False
    if chosen:
        return True
    if os.environ.get("SSH_CONNECTION"):
        return False
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def kernel_environment() -> dict[str, str]:
    """What every kernel is started with; what the user has set already stays."""
    # Two notebooks on one GPU: each takes what it uses, not three quarters of the memory.
    name = "XLA_PYTHON_CLIENT_PREALLOCATE"
    return {name: os.environ.get(name, "false")}


def write_settings(folder: Path) -> dict[str, str]:
    """Write this launch's kernel and settings under `folder`; returns the variables naming them.

    The kernel called ``python3`` is this interpreter, whatever kernels the user has installed, and
    nothing is written to the user's Jupyter folders or to the environment.
    """
    kernel = folder / "share" / "kernels" / "python3" / "kernel.json"
    connection = "{connection_file}"
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", connection],
        "display_name": "Python 3 (workbench)",
        "language": "python",
        "env": kernel_environment(),
        "metadata": {"debugger": True},
    }
    overrides = folder / "etc" / "labconfig" / "default_setting_overrides.json"
    for file, content in ((kernel, spec), (overrides, QUIET)):
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, [json.dumps(content, indent=1).encode()])
    paths = {"JUPYTER_PATH": folder / "share", "JUPYTER_CONFIG_PATH": folder / "etc"}
    return {
        name: os.pathsep.join(filter(None, [str(path), os.environ.get(name, "")]))
        for name, path in paths.items()
    }


def arguments(folder: Path, port: int, base_url: str, start: str, browser: bool) -> list[str]:
    """The command line of the JupyterLab server."""
    line = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={folder}",
        f"--ServerApp.base_url={base_url}",
        f"--LabApp.default_url=/lab/tree/{start}",
        "--ServerApp.answer_yes=True",
        "--ServerApp.log_level=ERROR",
        "--LabApp.log_level=ERROR",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        # The stock limits drop picture updates without a word.
        "--ZMQChannelsWebsocketConnection.iopub_data_rate_limit=1e9",
        "--ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=1e5",
    ]
    if not browser:
        line.append("--ServerApp.open_browser=False")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        line.append("--ServerApp.allow_root=True")
    return line


def user() -> str:
    """The user's name for the ``ssh`` line; a container may run under a number without one."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # which of them depends on system and Python
        return "USER"


def announce(folder: Path, url: str, port: int, browser: bool) -> None:
    """Say where the lab is, and how to reach it from another machine when no browser opens."""
    print(f"Your notebooks: {folder}")
    if browser:
        print(f"JupyterLab opens in your browser in a few seconds; if not: {url}")
    else:
        print(f"JupyterLab answers in a few seconds at\n\n    {url}\n")
        print("On a remote machine, first run this on your own, then open the same address there:")
        print(f"\n    ssh -N -L {port}:127.0.0.1:{port} {user()}@{socket.gethostname()}\n")
    print("Ctrl-C here ends the lab and its kernels.", flush=True)


def run(
    folder: Path | None = None,
    *,
    port: int = 8888,
    base_url: str = "/",
    browser: bool | None = None,
) -> None:
    """Start JupyterLab and stay until it ends.

    Args:
        folder: the work folder for the copied notebooks; ``my-notebooks`` here by default.
        port: the first port to try.
        base_url: the path under which a proxy shows the server.
        browser: open one or not; found out by default.
    """
    folder = (folder or Path.cwd() / FOLDER).resolve()
    done = notebooks.refresh(folder)
    for name, aside in done.kept_aside.items():
        print(f"{name} is new in this version; yours is kept as {aside}")
    if not labextension.fresh(Path(sys.prefix)):
        print("Preparing the chart library (a few seconds, once) ...", flush=True)
        labextension.install_vega_bundle(Path(sys.prefix))

    token = secrets.token_urlsafe(24)
    os.environ.update(kernel_environment())
    os.environ.update(write_settings(home.home() / "lab"))
    browser = browser_at_hand() if browser is None else browser
    base_url = "/" + base_url.strip("/") + "/" if base_url.strip("/") else "/"
    start = START if (folder / START).exists() else ""
    port = free_port(port)
    url = f"http://127.0.0.1:{port}{base_url}lab/tree/{start}?token={token}"
    announce(folder, url, port, browser)
    from jupyterlab.labapp import LabApp  # seconds, which nobody should wait for an address

    # Handed over inside this process: no list of processes shows the token.
    secret = f"--IdentityProvider.token={token}"
    LabApp.launch_instance(argv=[*arguments(folder, port, base_url, start, browser), secret])


def missing_notebooks() -> str:
    """One line when the shipped notebooks cannot be found, or nothing."""
    try:
        shipped.path("notebooks")
    except FileNotFoundError as problem:
        return str(problem)
    return ""
