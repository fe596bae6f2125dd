"""The doctor tells what is here, and its exit status says whether the lab can run."""

from pathlib import Path

import jax

from workbench import home
from workbench.launch import doctor


def test_healthy_report_names_versions_devices_and_cache(capsys, workbench_home):
    (home.compile_cache()).mkdir(parents=True)
    (home.compile_cache() / "program").write_bytes(bytes(1000))
    topics = {finding.topic: finding for finding in doctor.findings()}
    assert f"jax {jax.__version__}" in topics["versions"].text
    assert "cpu" in topics["device"].text
    assert "1 files" in topics["compile cache"].text
    assert {"memory", "disk", "energy", "chart library"} <= set(topics)
    assert all(len(str(finding).splitlines()) == 1 for finding in topics.values())


def test_missing_package_fails_the_report(monkeypatch, capsys):
    real = doctor.installed
    monkeypatch.setattr(doctor, "installed", lambda p: None if p == "flax" else real(p))
    assert doctor.run() == 1
    assert "! versions       missing: flax" in capsys.readouterr().out


def test_jax_that_does_not_start_is_said_in_one_line(monkeypatch):
    def refuse():
        raise RuntimeError("no such platform")

    monkeypatch.setattr(jax, "devices", refuse)
    (finding,) = doctor._devices()
    assert finding.needed and not finding.well
    assert "no such platform" in finding.text


def test_energy_says_when_no_meter_can_be_read(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "RAPL", tmp_path)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    (finding,) = doctor._energy()
    assert not finding.well and "left empty" in finding.text
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    counter.parent.mkdir()
    counter.write_text("1", encoding="utf-8")
    (finding,) = doctor._energy()
    assert finding.well and "RAPL" in finding.text


def test_home_follows_the_system(monkeypatch):
    monkeypatch.delenv("WORKBENCH_HOME")
    monkeypatch.setattr(home.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert home.home() == Path("/caches/efficiency-workbench")
    assert home.compile_cache() == Path("/caches/efficiency-workbench/compiled")
