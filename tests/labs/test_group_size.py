"""The group-size page: counted at once without jax, timed here, and its claim."""

import subprocess
import sys
from typing import Any

import pytest

from workbench import vision
from workbench.labs.vision import group_size_claim as claim
from workbench.labs.vision import group_size_view as views
from workbench.labs.vision.group_size_form import ENERGY, GROUPS_OF, NETWORK, PRESETS
from workbench.labs.vision.group_size_networks import (
    MOBILENET,
    NAMES,
    RESNEXT,
    SMALL_RESNEXT,
    outline,
    recorded_times,
    sizes,
)
from workbench.labs.vision.group_size_view import GroupSizeView
from workbench.panels.settings import accepted, defaults, merged, start
from workbench.panels.view import Values
from workbench.progress import Cancelled, silent
from workbench.vision.conv_shapes import Outline
from workbench.vision.energy import Prices, spent


@pytest.fixture
def view() -> GroupSizeView:
    return GroupSizeView()


def values(view: GroupSizeView, **settings: dict[str, Any]) -> Values:
    return accepted(view, start(view, settings))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.label)
def test_presets_have_a_first_picture(view: GroupSizeView, preset: Any) -> None:
    chosen = accepted(view, merged(defaults(view.groups), preset.values))
    assert not view.check(chosen)
    picture = view.predict(chosen)
    assert picture.claim is not None and picture.basis == "predicted"
    assert set(picture.contents) == {slot.id for row in view.layout for slot in row}
    assert all(getattr(picture.contents[slot], "chart", None) for slot in view_charts(view))
    assert "lab.group_size" in view.code(chosen)


def view_charts(view: GroupSizeView) -> list[str]:
    return [slot.id for row in view.layout for slot in row if slot.kind == "chart"]


def test_nothing_of_it_loads_jax() -> None:
    lines = (
        "import sys",
        "from workbench.labs.vision.group_size_view import GroupSizeView",
        "from workbench.panels.settings import accepted, start",
        "view = GroupSizeView()",
        "view.predict(accepted(view, start(view, {})))",
        "assert 'jax' not in sys.modules and 'flax' not in sys.modules",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, timeout=120)


@pytest.mark.parametrize("name", NAMES)
def test_recorded_layers_are_those_of_the_network(name: str) -> None:
    assert outline(name) == Outline.of(vision.published(name))


def test_numbers_are_those_of_the_model(view: GroupSizeView) -> None:
    chosen = values(
        view,
        **{
            NETWORK: {"network": RESNEXT, "size": 160, "batch": 4},
            GROUPS_OF: {"size": 16, "groups": 16},
            ENERGY: {"mac": 1.0, "byte": 20.0, "numbers": "bfloat16"},
        },
    )
    layers = outline(RESNEXT).at(160, group_size=16)
    found = spent(layers, Prices(1.0, 20.0), batch=4, itemsize=2)
    shown = {one.label: one for one in view.predict(chosen).contents["figures"].figures}
    assert float(shown["Energy, modelled"].value) == pytest.approx(1e3 * found.joules, rel=0.01)
    rows = view.predict(chosen).contents["layers"].rows
    assert len(rows) == len(layers)


def test_groups_that_do_not_divide_are_one_line(view: GroupSizeView) -> None:
    chosen = values(
        view, **{NETWORK: {"network": SMALL_RESNEXT}, GROUPS_OF: {"size": 32, "groups": 4}}
    )
    (problem,) = view.check(chosen)
    assert problem.level == "error" and problem.field == "size"
    assert problem.message == (
        "Group size 32: the narrowest spatial convolution of Small ResNeXt (ours) has 16 channels, "
        "so 16 or less"
    )
    assert sizes(SMALL_RESNEXT) == (1, 2, 4, 8, 16)


def test_what_would_take_too_long_is_said_and_not_timed(view: GroupSizeView) -> None:
    chosen = values(view, **{NETWORK: {"network": RESNEXT, "batch": 256}})
    (problem,) = view.check(chosen)
    assert problem.level == "warn" and problem.message.startswith("Not timed here")
    with pytest.raises(ValueError, match="Not timed here"):
        next(view.run(chosen, silent))


def test_a_run_shows_what_was_timed(view: GroupSizeView, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = recorded_times()["networks"][SMALL_RESNEXT]

    class Time:
        median, quartiles = 0.002, (0.001, 0.003)

    monkeypatch.setattr(views, "timed", lambda *asked: dict.fromkeys(asked[3], Time()))
    settings = {NETWORK: {"network": SMALL_RESNEXT, "size": 32}, GROUPS_OF: {"groups": 8}}
    chosen = values(view, **settings)
    assert str(recorded["batch"]) in view.predict(chosen).contents["times"].subtitle
    (picture,) = view.run(chosen, silent)
    assert picture.basis == "measured" and picture.device
    chart = picture.contents["times"]
    assert "measured here" in chart.subtitle and "2 ms" in chart.subtitle
    assert view.predict(chosen).basis == "measured", "and it stays"


@pytest.mark.slow
def test_a_network_is_timed_here_and_can_be_stopped(view: GroupSizeView) -> None:
    settings = {NETWORK: {"network": SMALL_RESNEXT, "size": 32}, GROUPS_OF: {"groups": 8}}
    chosen = values(view, **settings)

    def stop(*_: Any, **__: Any) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        next(view.run(chosen, stop))
    (picture,) = view.run(chosen, silent)
    rows = picture.contents["times"].chart.rows["live"]
    assert len([row for row in rows if not row["predicted"]]) == 6


def test_the_claim_is_open_where_energy_was_not_measured(view: GroupSizeView) -> None:
    card = view.predict(values(view)).claim
    assert card is not None and card.verdict == "open" and "2006.15100" in card.url
    printed = {row.what: row for row in card.rows}
    for name, network, gain in (
        ("MobileNet", MOBILENET, "+10.8 %"),
        ("ResNeXt", RESNEXT, "+4.73 %"),
    ):
        row = printed[f"{name} / J"]
        assert row.paper == gain and row.verdict == "open" and row.basis == "predicted"
        ours = claim.modelled_gain(network, Prices(), batch=1, itemsize=4)
        assert row.here == f"{ours:+.1f} %"
    assert "within 0.8 %" in card.details


def test_the_verdict_line_says_balance_and_arithmetic(view: GroupSizeView) -> None:
    said = view.predict(values(view)).contents["figures"].subtitle
    assert said.startswith("Constant size is better balanced (reuse varies ")
    assert "+0.8 % multiply-adds" in said and "pairs of equal arithmetic" in said
