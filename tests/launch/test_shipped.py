"""The shipped files are found in a checkout and in a wheel, and nothing else is."""

import pytest

from workbench import shipped


def test_checkout_and_wheel_layouts(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "workbench")
    (tmp_path / "data" / "model").mkdir(parents=True)
    assert shipped.path("data/model") == tmp_path / "data" / "model"
    packed = tmp_path / "workbench" / "_shipped" / "data"
    packed.mkdir(parents=True)
    assert shipped.path("data") == packed
    with pytest.raises(FileNotFoundError, match="data/model"):
        shipped.path("data/model")


@pytest.mark.parametrize("outside", ["README.md", "data/../README.md", "/etc", "", "../data"])
def test_other_places_are_refused(outside):
    with pytest.raises(ValueError, match="is not shipped"):
        shipped.path(outside)
