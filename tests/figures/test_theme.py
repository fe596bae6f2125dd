"""A chart follows the theme by CSS variables, and an exported one has none left."""

import json

import pytest

from workbench.figures import theme


def test_resolve_leaves_no_variable_and_keeps_the_original():
    spec = {"config": theme.config(), "mark": {"fill": "var(--wb-m3, red)"}}
    found = theme.resolve(spec)
    assert "var(" not in json.dumps(found)
    assert found["mark"]["fill"] == "#209f89"
    assert found["background"] == "#ffffff"
    assert "var(" in json.dumps(spec)


def test_resolve_dark_is_dark():
    found = theme.resolve({"config": theme.config()}, "dark")
    assert found["background"] == "#111111"
    assert found["config"]["axis"]["labelColor"] == "#b3b3b3"


def test_unknown_variable_is_an_error():
    with pytest.raises(KeyError, match="--wb-nothing"):
        theme.resolve({"mark": {"fill": "var(--wb-nothing)"}})


@pytest.mark.parametrize("shown", ["light", "dark"])
def test_css_declares_every_color(shown):
    text = theme.declarations(shown)
    assert all(f"{name}:" in text for name in theme.colors(shown))


def test_neutral_values_are_those_of_the_design():
    light, dark = theme.colors("light"), theme.colors("dark")
    assert [light[f"--wb-{n}"] for n in ("t1", "t2", "t3", "edge", "line")] == [
        "#1f1f1f", "#525252", "#6b6b6b", "#858585", "#dbdbdb",
    ]  # fmt: skip
    assert [dark[f"--wb-{n}"] for n in ("t1", "t2", "t3", "edge", "line")] == [
        "#e2e2e2", "#b3b3b3", "#9b9b9b", "#838383", "#3e3e3e",
    ]  # fmt: skip
