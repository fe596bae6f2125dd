"""The chart library is installed once, renewed when stale, and skipped where nobody may write."""

import pytest

from workbench.launch import labextension
from workbench.panels import vega


@pytest.fixture
def made(monkeypatch):
    calls = []

    def bundle():
        calls.append(1)
        return "export const vegaEmbed = 1;"

    monkeypatch.setattr(vega, "bundle", bundle)
    return calls


def test_installed_once_with_its_licence(tmp_path, made):
    assert not labextension.fresh(tmp_path)
    assert labextension.install_vega_bundle(tmp_path)
    assert labextension.install_vega_bundle(tmp_path)
    assert len(made) == 1
    text = labextension.bundle_file(tmp_path).read_text(encoding="utf-8")
    assert "University of Washington Interactive Data Lab" in text
    assert text.endswith("export const vegaEmbed = 1;")


def test_stale_one_is_renewed(tmp_path, made):
    labextension.install_vega_bundle(tmp_path)
    labextension.bundle_file(tmp_path).with_name("made-by.txt").write_text("1.0", encoding="utf-8")
    assert not labextension.fresh(tmp_path)
    assert labextension.install_vega_bundle(tmp_path)
    assert len(made) == 2


def test_read_only_prefix_is_skipped(tmp_path, made):
    (tmp_path / "share").write_text("a file where a folder should be", encoding="utf-8")
    assert labextension.install_vega_bundle(tmp_path) is False
    assert made == []


def test_jupyter_serves_it_and_lists_no_extension(tmp_path, made):
    from jupyterlab_server.config import get_federated_extensions

    labextension.install_vega_bundle(tmp_path)
    folder = tmp_path / "share" / "jupyter" / "labextensions"
    assert labextension.bundle_file(tmp_path) == folder / labextension.NAME / "static" / "vega.js"
    assert get_federated_extensions([str(folder)]) == {}
