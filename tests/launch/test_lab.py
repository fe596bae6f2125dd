"""How the lab is started: a private kernel, loopback and a token, and a clean end on Ctrl-C."""

import json
import os
import socket
import sys
import urllib.error
import urllib.request
from types import ModuleType

import pytest

from workbench.launch import lab


def test_taken_port_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert lab.free_port(port) > port
        with pytest.raises(OSError, match="no free port"):
            lab.free_port(port, tries=1)


@pytest.mark.parametrize(
    ("variables", "opens"),
    [
        ({"BROWSER": "none", "DISPLAY": ":0"}, False),
        ({"BROWSER": "firefox"}, True),
        ({"SSH_CONNECTION": "somewhere", "DISPLAY": ":0"}, False),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({}, False),
    ],
)
def test_browser_at_hand(monkeypatch, variables, opens):
    for name in ("BROWSER", "SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(lab.sys, "platform", "linux")
    assert lab.browser_at_hand() is opens


def test_settings_name_this_interpreter_and_silence_the_news(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "before")
    variables = lab.write_settings(tmp_path)
    assert variables["JUPYTER_PATH"].split(os.pathsep) == [str(tmp_path / "share"), "before"]
    kernel = json.loads((tmp_path / "share/kernels/python3/kernel.json").read_text("utf-8"))
    assert kernel["argv"][0] == lab.sys.executable
    assert kernel["env"]["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    overrides = tmp_path / "etc/labconfig/default_setting_overrides.json"
    (settings,) = json.loads(overrides.read_text("utf-8")).values()
    assert settings["fetchNews"] == "false"


def test_what_the_user_set_stays(monkeypatch):
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    assert lab.kernel_environment()["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"


def test_remote_machine_is_told_how_to_reach_it(tmp_path, capsys):
    lab.announce(tmp_path, "http://127.0.0.1:8891/lab?token=t", 8891, browser=False)
    told = capsys.readouterr().out
    assert "http://127.0.0.1:8891/lab?token=t" in told
    assert "ssh -N -L 8891:127.0.0.1:8891 " in told


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("No username set")])
def test_a_user_without_a_name_is_no_error(tmp_path, monkeypatch, capsys, error):
    def nameless():
        raise error

    monkeypatch.setattr(lab.getpass, "getuser", nameless)
    lab.announce(tmp_path, "http://127.0.0.1:8891/lab", 8891, browser=False)
    assert "ssh -N -L 8891:127.0.0.1:8891 USER@" in capsys.readouterr().out


def test_address_is_told_before_jupyterlab_is_loaded(tmp_path, monkeypatch, capsys, workbench_home):
    told = []

    class Server:
        @staticmethod
        def launch_instance(argv):
            told.append(argv)

    class Slow(ModuleType):
        def __getattr__(self, name):
            if name != "LabApp":
                raise AttributeError(name)
            told.append(capsys.readouterr().out)
            return Server

    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", Slow("jupyterlab.labapp"))
    monkeypatch.setattr(lab.labextension, "fresh", lambda prefix: True)
    for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH", *lab.kernel_environment()):
        monkeypatch.setenv(name, "before")
    lab.run(tmp_path / "mine", browser=False)
    said, arguments = told
    (token,) = [a.partition("=")[2] for a in arguments if a.startswith("--IdentityProvider.token")]
    assert "http://127.0.0.1:" in said and f"token={token}" in said
    assert (tmp_path / "mine" / "start.ipynb").exists()


@pytest.mark.slow
def test_lab_starts_asks_for_its_token_and_ends_on_ctrl_c(tmp_path):
    from tests.browser import server as servers

    server = servers.start(tmp_path)
    try:
        assert isinstance(server.api("GET", "api/status"), dict)
        assert len(server.token) >= 32
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{server.url}api/contents", timeout=10)
        specs = server.api("GET", "api/kernelspecs")
        assert isinstance(specs, dict)
        assert specs["kernelspecs"]["python3"]["spec"]["argv"][0] == lab.sys.executable
    finally:
        status = server.stop()
    assert status == 0
    assert "Traceback" not in server.log.read_text(encoding="utf-8")
