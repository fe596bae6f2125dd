"""The table under the charts: use of the device, energy, and intervals as a reader takes them."""

from dataclasses import replace

import pytest

from tests.labs import tiny
from workbench.labs.diffusion.points import Point
from workbench.labs.diffusion.scoreboard import scoreboard
from workbench.labs.diffusion.view import DiffusionView
from workbench.measure.cost import Cost
from workbench.measure.intervals import Interval
from workbench.panels.settings import accepted, start


def scene(pipeline=None):
    view = DiffusionView(pipeline=pipeline)
    return view._scene(accepted(view, start(view, None)))


@pytest.mark.slow
def test_energy_has_a_column_once_a_sensor_was_read():
    shown = scene(tiny.pipeline())
    method = shown.methods[2]
    cost = Cost(power=20.0, latency=0.25, compute_utilisation=0.4, basis="measured")
    point = Point(method.code(), method.name, 0.5, cost=cost, sources={"sensor": "RAPL package-0"})
    table = scoreboard(replace(shown, points={method.code(): point}), 8)
    assert [column.label for column in table.columns][-2:] == ["Of peak", "Energy"]
    assert [cell.text for cell in table.rows[2][-2:]] == ["40 %", "5 J"]
    assert {cell.text for row in (table.rows[0], table.rows[1]) for cell in row[-2:]} == {"–"}
    assert "Energy: of one picture, by RAPL package-0" in table.subtitle


def test_a_share_is_noted_by_its_ends_and_a_mean_by_half_its_interval():
    shown = scene()
    quality = {"agreement": Interval(100, 89.3, 100, 32), "ssim": Interval(0.9, 0.88, 0.92, 32)}
    point = replace(shown.point(shown.methods[1]), quality=quality)
    table = scoreboard(replace(shown, points={point.code: point}), 32)
    assert [cell.note for cell in table.rows[1][1:3]] == ["89–100", "±0.020"]


def test_a_point_keeps_costs_it_had_and_takes_none_to_another_machine():
    def point(**known):
        return Point("F()", "F", 0.5, cost=Cost(**known, basis="measured"))

    both = point(latency=1.0).keeping(point(latency=2.0, peak_memory=7.0, power=3.0))
    assert both.cost.known() == {"latency": 1.0, "peak_memory": 7.0, "power": 3.0}
    moved = replace(both, seconds=Interval(1.0, 0.9, 1.1, 5)).scaled(2.0)
    assert moved.seconds == Interval(2.0, 1.8, 2.2, 5) and moved.basis == "predicted"
    assert moved.cost.known() == {"peak_memory": 7.0}
