"""The doctor tells what is here, and its exit status says whether the lab can run."""

import jax

from workbench import home
from workbench.launch import doctor
from workbench.measure import energy


def test_healthy_report_names_versions_devices_and_cache(capsys, workbench_home):
    (home.compile_cache()).mkdir(parents=True)
    (home.compile_cache() / "program").write_bytes(bytes(1000))
    topics = {finding.topic: finding for finding in doctor.findings()}
    assert f"jax {jax.__version__}" in topics["versions"].text
    assert "cpu" in topics["device"].text
    assert "0.0 GB in 1 files" in topics["compile cache"].text
    assert {"memory", "disk", "CPU energy", "chart library"} <= set(topics)
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


def test_energy_says_what_can_be_read_and_why_not(monkeypatch):
    monkeypatch.setattr(energy, "find_rapl", lambda: energy.Missing("no counter"))
    monkeypatch.setattr(energy, "find_board", lambda: object())
    processor, board = doctor._energy()
    assert not processor.well and processor.text == "left empty: no counter"
    assert board.well and board.text == "readable"
