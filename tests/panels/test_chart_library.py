"""The chart library is built once, kept whole, and sent to who asks."""

import pytest

from workbench.panels import vega


class Widget:
    def __init__(self):
        self.sent = []

    def send(self, content, buffers=None):
        self.sent.append((content, buffers))


@pytest.fixture(autouse=True)
def forget():
    vega.bundle.cache_clear()
    yield
    vega.bundle.cache_clear()


def test_bundle_exports_both_and_is_kept(workbench_home):
    text = vega.bundle()
    assert text.rstrip().endswith("};") and " as vegaEmbed," in text and " as vega}" in text
    kept = list((workbench_home / "vega").iterdir())
    assert [file.suffix for file in kept] == [".js"]
    kept[0].write_text(text + "\n// kept")
    vega.bundle.cache_clear()
    assert vega.bundle().endswith("// kept")


@pytest.mark.slow
def test_half_a_file_is_built_again(workbench_home):
    text = vega.bundle()
    kept = next((workbench_home / "vega").iterdir())
    kept.write_text(text[:5000])
    vega.bundle.cache_clear()
    assert vega.bundle() == text


def test_unwritable_home_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "file"))
    assert "vegaEmbed" in vega.bundle()


def test_only_our_message_is_answered(monkeypatch):
    monkeypatch.setattr(vega, "bundle", lambda: "source")
    widget = Widget()
    assert vega.answer(widget, {"type": "vega"}, [])
    assert widget.sent == [({"type": "vega"}, [b"source"])]
    assert not vega.answer(widget, {"type": "other"}) and not vega.answer(widget, None)
    assert len(widget.sent) == 1
