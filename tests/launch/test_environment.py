"""The environment is made once, from what it says, by uv or by pip alike."""

import sys

import pytest

from workbench.launch import environment


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    commands = []

    class Done:
        returncode = 0

    def run(command, **_):
        commands.append([str(part) for part in command])
        python = environment.python_of(tmp_path / ".venv")
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()
        return Done

    monkeypatch.setattr(environment.subprocess, "run", run)
    return tmp_path, commands


@pytest.mark.parametrize("uv", ["uv", None])
def test_made_once_and_again_when_a_pin_changes(checkout, monkeypatch, capsys, uv):
    root, commands = checkout
    monkeypatch.setattr(environment.shutil, "which", lambda name: uv)
    environment.prepare("lab")
    told = capsys.readouterr().out.splitlines()[0]
    assert f"{environment.PURPOSES['lab']['megabytes']} MB" in told and "minutes" in told
    assert len(commands) == 2
    assert str(root / "constraints.txt") in commands[-1]
    assert commands[-1][0] == ("uv" if uv else str(environment.python_of(root / ".venv")))
    environment.prepare("lab")
    assert len(commands) == 2
    assert capsys.readouterr().out == ""
    (root / "constraints.txt").write_text("changed", encoding="utf-8")
    environment.prepare("lab")
    assert len(commands) == 3


def test_test_extras_are_another_stamp_in_the_same_place(checkout, monkeypatch):
    root, commands = checkout
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    assert environment.prepare("lab") == environment.prepare("test")
    assert commands[-1][-1] == f"{root}[test]"


def test_what_serves_the_tests_serves_the_lab(checkout, monkeypatch, capsys):
    root, commands = checkout
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    environment.prepare("test")
    made = len(commands)
    capsys.readouterr()
    environment.prepare("lab")
    assert len(commands) == made and capsys.readouterr().out == ""
    (root / "pyproject.toml").write_text("changed", encoding="utf-8")
    environment.prepare("lab")
    assert len(commands) == made + 1


def test_peers_are_installed_by_exact_version_with_pip(tmp_path):
    first, second, third = environment.steps("parity", tmp_path / "python", "uv")
    assert first[0] == second[0] == third[0] == str(tmp_path / "python")
    assert first[-1] == "torch==2.13.0"
    assert all("==" in package for package in environment.PEERS + environment.PEER_FILES)
    assert "--no-deps" in third
    assert "torch==2.13.0" in second


def test_compilers_come_by_name_at_the_version_of_jax(checkout, monkeypatch):
    root, commands = checkout
    monkeypatch.setattr(environment, "without_kernels", lambda: "")
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    (root / "constraints.txt").write_text("iniconfig==2\njax==9.8.7\njaxlib==9.8.7\n", "utf-8")
    (root / ".venv-kernels").mkdir()
    python = environment.prepare("kernels")
    assert python == environment.python_of(root / ".venv-kernels")
    first, second = commands[-2:]
    assert {"jax", "jaxlib", "absl-py"} < set(first) and str(root / "constraints.txt") in first
    assert "--no-deps" in second
    assert {"jax-cuda13-plugin==9.8.7", "jax-cuda13-pjrt==9.8.7"} < set(second)
    assert not any("torch" in part or str(root) == part for part in first + second)


@pytest.mark.parametrize(
    ("system", "machine", "says"),
    [
        ("linux", "x86_64", ""),
        ("linux", "aarch64", "no build for linux on aarch64"),
        ("darwin", "arm64", "no build for darwin on arm64"),
    ],
)
def test_where_kernels_are_not_compiled_is_one_line(monkeypatch, checkout, system, machine, says):
    monkeypatch.setattr(environment, "unsupported", lambda: "")
    monkeypatch.setattr(environment.platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "platform", system)
    problem = environment.without_kernels()
    assert says in problem and "\n" not in problem and bool(problem) is bool(says)
    if says:
        with pytest.raises(SystemExit, match="no build for"):
            environment.prepare("kernels")


def test_failed_install_leaves_no_stamp(checkout, monkeypatch):
    root, _ = checkout
    python = environment.python_of(root / ".venv")
    python.parent.mkdir(parents=True)
    python.touch()

    class Failed:
        returncode = 1

    monkeypatch.setattr(environment.subprocess, "run", lambda *_, **__: Failed)
    with pytest.raises(SystemExit, match="Installing failed"):
        environment.prepare("lab")
    assert not (root / ".venv" / ".ready-lab").exists()


@pytest.mark.parametrize(
    ("version", "system", "machine", "built_for", "says"),
    [
        ((3, 10, 9), "linux", "x86_64", "linux-gnu", "Python 3.11 or newer is needed"),
        ((3, 12, 0), "win32", "ARM64", None, "Windows is supported on x86-64 only"),
        ((3, 12, 0), "darwin", "x86_64", "darwin", "Intel"),
        ((3, 12, 0), "linux", "riscv64", "linux-gnu", "no build for riscv64"),
        ((3, 12, 0), "linux", "x86_64", "linux-musl", "musl (Alpine)"),
        ((3, 12, 0), "linux", "aarch64", "linux-gnu", ""),
    ],
)
def test_unsupported_machine_is_one_line(monkeypatch, version, system, machine, built_for, says):
    monkeypatch.setattr(environment.platform, "machine", lambda: machine)
    monkeypatch.setattr(environment.sysconfig, "get_config_var", lambda name: built_for)
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(sys, "platform", system)
    problem = environment.unsupported()
    assert says in problem and "\n" not in problem and bool(problem) is bool(says)


def test_this_machine_is_supported():
    assert environment.unsupported() == ""


def test_unknown_purpose_is_usage(capsys):
    assert environment.main(["everything"]) == 2
    assert "lab|test|parity|kernels" in capsys.readouterr().out
