"""The doctor tells what is here, and its exit status says whether the lab can run."""

import re
from importlib import metadata

import jax
import pytest

from workbench import home
from workbench.launch import doctor
from workbench.measure import energy, memory


def test_healthy_report_names_versions_devices_and_cache(capsys, workbench_home):
    (home.compile_cache()).mkdir(parents=True)
    (home.compile_cache() / "program").write_bytes(bytes(1000))
    topics = {finding.topic: finding for finding in doctor.findings()}
    assert f"jax {jax.__version__}" in topics["versions"].text
    assert "cpu" in topics["device"].text
    assert "0.0 GB in 1 files" in topics["compile cache"].text
    assert {"memory", "disk", "CPU energy", "chart library"} <= set(topics)
    assert all(len(str(finding).splitlines()) == 1 for finding in topics.values())


def base() -> list[str]:
    """Names of what `pip install` of the distribution brings, without extras."""
    lines = metadata.requires(doctor.DISTRIBUTION) or []
    return [re.split("[^a-z0-9-]", line)[0] for line in lines if "extra ==" not in line]


def test_every_dependency_is_looked_at():
    versions = next(f for f in doctor.findings() if f.topic == "versions")
    assert [part.split()[0] for part in versions.text.split(", ")] == base()
    assert {"jax", "pandas", "scikit-image", "orbax-checkpoint"} <= set(base())
    assert not {"pytest", "distributed", "tokamax"} & set(base())


@pytest.mark.parametrize("name", base())
def test_a_missing_package_fails_the_report(monkeypatch, name):
    real = doctor.installed
    monkeypatch.setattr(doctor, "installed", lambda p: None if p == name else real(p))
    found = [f for f in doctor._versions() if f.needed]
    assert [str(f) for f in found] == [f"! versions       missing: {name}"]


def test_an_old_package_and_a_missing_one_give_exit_status_1(monkeypatch, capsys):
    real, changed = doctor.installed, {"jax": "0.9.1", "flax": None}
    monkeypatch.setattr(doctor, "installed", lambda p: changed.get(p, real(p)))
    assert doctor.run() == 1
    said = capsys.readouterr().out
    assert "! versions       missing: flax\n" in said
    assert "! versions       jax 0.9.1 is here; >=0.10.2 is needed\n" in said


def test_a_tree_that_was_not_installed_is_said(monkeypatch):
    monkeypatch.setattr(doctor, "DISTRIBUTION", "no-such-distribution")
    (finding,) = [f for f in doctor._versions() if f.topic == "versions"]
    assert finding.needed and "pip install ." in finding.text


@pytest.mark.parametrize(
    ("here", "file", "driver", "says"),
    [
        ("libtpu", "", None, "libtpu is installed, and found no device"),
        ("", "", "nvidia-smi", "the extra cuda13 (or cuda12)"),
        ("", "accel0", None, "the extra tpu"),
    ],
)
def test_the_extra_for_a_device_is_named(tmp_path, monkeypatch, here, file, driver, says):
    (tmp_path / (file or "null")).touch()
    monkeypatch.setattr(doctor, "DEVICES", tmp_path)
    monkeypatch.setattr(doctor, "installed", lambda p: "1.0" if p == here else None)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: driver)
    (finding,) = doctor._unused_devices()
    assert says in finding.text and not finding.well


def test_the_limit_of_a_container_is_said(monkeypatch):
    monkeypatch.setattr(memory, "container_available", lambda: 2 * 10**8)
    (finding,) = doctor._memory()
    assert finding.text.endswith("the limit of this container leaves 0.2 GB")


def test_jax_that_does_not_start_is_said_in_one_line(monkeypatch):
    def refuse():
        raise RuntimeError("no such platform")

    monkeypatch.setattr(jax, "devices", refuse)
    (finding,) = doctor._devices()
    assert finding.needed and not finding.well
    assert "no such platform" in finding.text


def test_energy_says_what_can_be_read_and_why_not(monkeypatch):
    monkeypatch.setattr(energy, "find_rapl", lambda: energy.Missing("no counter"))
    monkeypatch.setattr(energy, "find_board", lambda: object())
    processor, board = doctor._energy()
    assert not processor.well and processor.text == "left empty: no counter"
    assert board.well and board.text == "readable"
