"""What the gap plot says of networks faster than their ideal, and the cards beside it."""

import re

import pytest

from workbench.labs.vision import families, machines, water_rows, water_shown
from workbench.labs.vision.gap_view import GapView
from workbench.measure.roofline import Peaks
from workbench.panels.settings import accepted, start
from workbench.vision.efficiency import counted
from workbench.vision.efficiency.timed import Timed

HERE = Peaks("test", {"float32": 100e9}, 10e9, "measured 2026-01-02: made for a test")


def values(view, **groups):
    return accepted(view, start(view, groups))


def timed_at(share, network="resnet50", batch=1):
    """A network that reached a share of 100 GFLOP/s."""
    seconds = batch * counted.operations(network) / (share * 100e9)
    return Timed(network, batch, 224, "network", network, seconds, seconds, seconds, 5)


@pytest.mark.parametrize(
    ("share", "peak", "words"),
    [
        (0.99, None, None),
        (1.01, None, "ResNet-50 took less than the ideal time.*Winograd.*or the measured peak"),
        (0.99, 0.05, "ResNet-50 took less than the ideal time.*the peak you gave is below"),
    ],
)
def test_a_share_above_one_is_said(share, peak, words):
    view = GapView()
    view.rows, view.peaks = {1: [timed_at(share), timed_at(0.3, "mobilenetv2_100")]}, HERE
    content = view.predict(values(view, rates={"peak": peak})).contents["gap"]
    if words is None:
        assert "ideal time" not in content.subtitle
    else:
        assert re.search(words, content.subtitle)
    row = next(r for r in content.chart.rows["live"] if r["key"] == "resnet50 measured")
    ideal = next(r for r in content.chart.rows["live"] if r["key"] == "resnet50 ideal")
    assert (row["value"] < ideal["value"]) == (words is not None)


@pytest.mark.parametrize("batch", ["1", "8"])
def test_what_ships_says_which_networks_took_less_than_their_ideal(batch):
    view = GapView()
    shown = values(view, shown={"batch": batch})
    content = view.predict(shown).contents["gap"]
    live = {row["key"]: row["value"] for row in content.chart.rows["live"]}
    trials = {key.removesuffix(" measured") for key in live if key.endswith(" measured")}
    faster = [name for name in trials if live[f"{name} measured"] < live[f"{name} ideal"]]
    assert ("took less than the ideal time" in content.subtitle) == bool(faster)
    told = content.subtitle.split(" took less")[0]
    assert all(families.name(name) in told for name in faster)


def test_layers_above_the_peak_are_counted_below_their_table():
    layers = counted.layers("resnet50")[:2]
    timed = {
        layer.name: Timed("resnet50", 1, 224, "layer", layer.name, t, t, t, 5)
        for layer, t in zip(layers, (layers[0].operations() / 150e9, 1.0), strict=True)
    }
    kernels = water_rows.Kernels(layers, machines.machine("here", here=HERE), 1, timed=timed)
    assert "1 layer took less than the ideal time" in water_shown.table(kernels).subtitle
    slow = water_rows.Kernels(
        layers, kernels.machine, 1, timed={layers[1].name: timed[layers[1].name]}
    )
    assert "ideal time" not in water_shown.table(slow).subtitle


@pytest.mark.parametrize("height", ["top1", "ops"])
def test_both_claims_stand_beside_the_plot_where_their_networks_were_measured(height):
    view = GapView()
    shipped = view.predict(values(view, shown={"height": height}))
    assert [card.rows[0].what for card in shipped.claims] == ["Depthwise / dense", "Ours"]
    assert shipped.claims[1].rows[2].what == "Ours faster" and "×" in shipped.claims[1].rows[2].here
    elsewhere = view.predict(values(view, shown={"source": "rtx3090", "height": height}))
    assert len(elsewhere.claims) == 1
    view.rows, view.peaks = {1: [timed_at(0.5, "convnext_tiny")]}, HERE
    assert len(view.predict(values(view, shown={"height": height})).claims) == 1
