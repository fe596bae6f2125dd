"""Every chart form makes a valid specification from plain rows."""

import json

import altair as alt
import pandas as pd
import pytest

from workbench.figures import (
    bars,
    contours,
    export,
    gaps,
    heat,
    lines,
    pareto,
    ranges,
    roofline,
    waterline,
)
from workbench.figures.axes import Axis
from workbench.figures.chart import Chart, ChartError
from workbench.figures.palette import Palette

TRIALS = [
    {"trial_id": "f50", "method": "Full", "time": 2.0, "ssim": 1.0, "label": "50"},
    {"trial_id": "f20", "method": "Full", "time": 0.8, "ssim": 0.87, "label": 20},
    {"trial_id": "e1", "method": "Encoder", "time": 1.5, "ssim": 0.95, "predicted": True},
    {"trial_id": "e1", "method": "Encoder", "time": 1.6, "ssim": 0.97},
]
PALETTE = Palette({"Encoder": 1}, baseline="Full")


def draw(rows=TRIALS, x="time", y="ssim", **more):
    return pareto(rows, x, y, slots=PALETTE, **more)


WORK = (
    {"method": "dot", "trial_id": "d", "intensity": 50, "rate": 0.2, "predicted": True},
    {"method": "dot", "trial_id": "d", "intensity": 50, "rate": 0.1},
)
ROOFS = (
    {"name": "fast", "peak": 100.0, "bandwidth": 1.0, "current": True},
    {"name": "slow", "peak": 0.2, "bandwidth": 0.01},
)


def values_of(chart):
    return {param["name"]: param["value"] for param in chart.spec["params"] if "value" in param}


CURVES = (
    {"part": "line", "x": 1, "y": 3.0, "level": 1e14},
    {"part": "line", "x": 2, "y": 2.0, "level": 1e14},
    {"part": "line", "x": 1, "y": 2.0, "level": 3e14},
    {"part": "best", "x": 1.5, "y": 2.2, "level": 1e14},
    {"part": "run", "x": 1.2, "y": 2.9, "level": 3e14, "key": "7"},
)
NETS = (
    {"method": "A", "trial_id": "a", "ms": 4.0, "ideal": 1.0, "top1": 70.0, "label": "small"},
    {"method": "A", "trial_id": "b", "ms": 9.0, "ideal": 3.0, "top1": 80.0, "low": 8.0, "high": 10},
    {"method": "B", "trial_id": "c", "ms": None, "ideal": 2.0, "top1": 75.0},
)
KERNELS = (
    {"method": "deep", "name": "one", "intensity": 25.0, "width": 1.0},
    {"method": "dry", "name": "two", "intensity": 400.0, "width": 3.0},
    {"method": "norm", "name": "three", "intensity": 0.0, "width": 0.0},
)
FORMS = {
    "pareto": draw,
    "contours": lambda rows=CURVES: contours(rows, extrapolated=1.5),
    "bars": lambda rows=({"method": "a", "predicted": 70, "measured": 75.0},): bars(rows),
    "heat": lambda rows=({"step": 1, "block": "mid", "value": 0.3},): heat(rows, plan=[0, 1]),
    "lines": lambda rows=({"method": "a", "x": 1, "y": 2}, {"method": "a", "x": 2, "y": 3}): lines(
        rows, extrapolated=1.5, marks=True, upright={"equal": 1.5}
    ),
    "ranges": lambda rows=({"group": "g", "method": "a", "value": 2, "low": 1, "high": 3},): ranges(
        rows, level=1.0
    ),
    "roofline": lambda rows=WORK: roofline(rows, roofs=ROOFS),
    "gaps": lambda rows=NETS: gaps(rows, "ms", "top1", current="b"),
    "waterline": lambda rows=KERNELS: waterline(rows, level=100.0),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_specification_is_valid_vega_lite(form):
    chart = FORMS[form]()
    alt.Chart.from_dict(chart.with_rows())
    assert chart.form == form
    assert chart.title.endswith("?") and chart.title in chart.description
    assert "datasets" not in chart.spec and "vega-lite/v6" in chart.spec["$schema"]
    assert "pick" in {param["name"] for param in chart.spec["params"]} or form == "lines"
    assert chart.spec["description"] == chart.description


@pytest.mark.parametrize("form", FORMS)
def test_no_rows_is_a_chart_without_rows(form):
    chart = FORMS[form](rows=[])
    alt.Chart.from_dict(chart.with_rows())
    assert chart.rows["live"] == []


@pytest.mark.parametrize("form", FORMS)
def test_drawn_has_title_and_no_variables(form):
    chart = FORMS[form]()
    found = chart.drawn("dark", 400)
    assert "var(" not in json.dumps(found)
    assert " ".join(found["title"]["text"]) == chart.title
    assert "var(--wb-" in json.dumps(chart.spec)


def test_keys_are_unique_and_predicted_twin_leads_to_measured():
    chart = draw()
    keys = [row["key"] for row in chart.rows["live"]]
    assert keys == ["f50", "f20", "e1 predicted", "e1"]
    assert [row["trial"] for row in chart.rows["live"]][2:] == ["e1", "e1"]
    assert chart.rows["leaders"] == [{"slot": 1, "x": 1.5, "y": 0.95, "x2": 1.6, "y2": 0.97}]


def test_new_rows_need_no_new_specification():
    ends = {"x": Axis("time", domain=(0, 3)), "y": Axis("ssim", domain=(0, 1))}
    first = draw(**ends)
    mine = {"trial_id": "m", "method": "Mine", "time": 1.0, "ssim": 0.5}
    more = draw([*TRIALS, mine], current="m", pins={"m": "A"}, **ends)
    assert {**first.spec, "description": ""} == {**more.spec, "description": ""}
    assert [row["key"] for row in more.rows["live"] if row["current"]] == ["m"]
    assert {row["text"] for row in more.rows["labels"]} >= {"A", "Mine", "Full", "50"}


def test_other_ends_are_other_values_of_the_same_specification():
    first = draw(x=Axis("time", domain=(0, 3)))
    other = draw(x=Axis("time", domain=(0, 5)))
    assert {**first.spec, "params": None} == {**other.spec, "params": None}
    assert values_of(first)["x_high"] == 3 and values_of(other)["x_high"] == 5
    assert values_of(other)["x_words"] == ["0", "1", "2", "3", "4", "5"]


def test_line_joins_only_the_best_of_a_method():
    worse = {"trial_id": "f60", "method": "Full", "time": 2.1, "ssim": 0.99, "label": "60"}
    live = draw([*TRIALS, worse]).rows["live"]
    assert {row["key"] for row in live if row["joined"]} == {"f50", "f20", "e1"}
    turned = draw([*TRIALS, worse], better="lower").rows["live"]
    assert {row["key"] for row in turned if row["joined"]} == {"f20", "e1"}


def test_settings_are_named_on_the_front_at_ends_and_where_one_stands():
    families = {
        "Full": [(1.0, 0.90), (1.5, 0.95), (2.0, 1.0)],
        "Encoder": [(1.2, 0.6), (1.6, 0.7), (1.9, 0.8), (1.95, 0.5), (2.5, 0.65)],
    }
    rows = [
        {"trial_id": name + str(k), "label": name + str(k), "method": name, "time": t, "ssim": q}
        for name, line in families.items()
        for k, (t, q) in enumerate(line)
    ]
    named = {row["text"] for row in draw(rows, current="Encoder4").rows["labels"]}
    assert named >= {"Full0", "Full1", "Full2", "Encoder0", "Encoder2", "Encoder4"}
    assert not named & {"Encoder1", "Encoder3"}


def test_nines_are_drawn_where_they_stand_and_said_as_they_are():
    chart = draw(y=Axis("ssim", "SSIM", scale="nines"))
    live = {row["key"]: row for row in chart.rows["live"]}
    assert live["f50"]["y"] == 0 and live["f50"]["quality"] == 1.0
    assert live["f20"]["y"] < live["e1"]["y"] < 0
    assert live["e1"]["told"] == "Encoder · 1.60 · 0.970"
    shown = [column["field"] for column in chart.spec["usermeta"]["workbench"]["columns"]]
    assert {"cost", "words"} <= set(shown) and not {"x", "y"} & set(shown)
    assert live["e1"]["words"] == "0.970"


def test_slot_belongs_to_the_name_not_the_order():
    forward, backward = draw(), draw(list(reversed(TRIALS)))
    slots = [{row["method"]: row["slot"] for row in c.rows["live"]} for c in (forward, backward)]
    assert slots[0] == slots[1] == {"Full": 0, "Encoder": 1}


def test_data_frame_with_missing_values_is_taken():
    frame = pd.DataFrame(TRIALS).assign(**{"time.low": 0.7, "time.high": float("nan")})
    live = draw(frame).rows["live"]
    assert live[0]["x_low"] == 0.7 and live[0]["x_high"] is None
    assert [row["predicted"] for row in live] == [False, False, True, False]
    json.dumps(draw(frame).with_rows(), allow_nan=False)


def test_basis_column_tells_predicted():
    rows = [{"method": "a", "time": 1, "ssim": 0.5, "basis": "modelled"}]
    assert draw(rows).rows["live"][0]["predicted"]


def test_missing_column_is_named_with_those_found():
    with pytest.raises(ChartError, match='column "ssim" is missing. Found: method, time'):
        draw([{"method": "a", "time": 1}])


def test_empty_domain_is_refused():
    with pytest.raises(ChartError, match="from low to high"):
        draw(x={"column": "time", "domain": (2, 1)})


def test_bars_write_predicted_and_measured_apart():
    rows = [{"method": "a", "predicted": 73.3, "measured": 75.2, "low": 74, "high": 77}]
    live = bars(rows).rows["live"]
    assert [row["text"] for row in live] == ["≈ 73.3", "75.2"]
    assert live[0]["low"] is None and live[1]["end"] == 77


def test_heat_draws_the_plan_over_its_steps():
    rows = [{"step": step, "block": "mid", "value": step + 1} for step in range(6)]
    spans = heat(rows, plan=[0, 1, 3], slot=2).rows["plan"]
    full = [(row["left"], row["right"]) for row in spans if row["full"]]
    reused = [(row["left"], row["right"]) for row in spans if not row["full"]]
    assert full == [(-0.5, 0.5), (0.5, 1.5), (2.5, 3.5)]
    assert reused == [(1.5, 2.5), (3.5, 5.5)]


def test_heat_draws_a_number_beside_each_block():
    rows = [{"step": 0, "block": name, "value": 1} for name in ("a", "b", "c")]
    drawn = heat(rows, beside={"a": 20.0, "b": 80.0}, beside_title="operations", beside_unit="%")
    bars = {row["block"]: row for row in drawn.rows["beside"] if "block" in row}
    assert {name: row["text"] for name, row in bars.items()} == {"a": "20 %", "b": "80 %"}
    assert bars["b"]["length"] == 4 * bars["a"]["length"] > 0
    assert drawn.rows["beside"][-1] == {"title": "operations"}
    assert heat(rows).rows["beside"] == []


def test_heat_thresholds_must_rise():
    with pytest.raises(ChartError, match="7 rising values"):
        heat([{"step": 0, "block": "a", "value": 1}], thresholds=[3, 2, 1, 0, 0, 0, 0])


def test_lines_of_many_series_carry_no_names():
    rows = [{"method": f"m{k}", "x": x, "y": k} for k in range(9) for x in (1, 2)]
    assert lines(rows).rows["labels"] == []


def test_lines_are_held_against_a_level_that_is_inside():
    rows = [{"method": "a", "x": x, "y": 3 + x, "low": 2 + x, "high": 5 + x} for x in (0, 1)]
    chart = lines(rows, level=1.0)
    assert chart.rows["level"] == [{"y": 1.0}]
    values = values_of(chart)
    assert values["y_low"] <= 1 and values["y_high"] >= 6


def test_every_tick_of_the_vertical_axis_is_drawn():
    chart = lines([{"method": "a", "x": x, "y": y} for x, y in ((0, 0.6), (1, 2.9))], height=60)
    svg = chart._repr_html_()
    assert all(f">{tick}<" in svg for tick in ("0.5", "1.0", "1.5", "2.0", "2.5", "3.0"))


def test_chart_shows_itself_where_there_are_no_widgets():
    shown = draw()._repr_html_()
    assert shown.startswith("<svg") and "What does each saving cost?" in shown


def test_theme_must_be_known():
    with pytest.raises(ChartError, match="'sepia'"):
        draw().drawn("sepia")


def test_curves_are_shaded_by_their_level_and_named_at_their_end():
    chart = contours(CURVES, level=Axis("level", "Compute", words="power"))
    steps = {row["level"]: row["step"] for row in chart.rows["live"]}
    assert steps == {1e14: 0, 3e14: 4}
    named = {row["text"]: (row["x"], row["y"]) for row in chart.rows["labels"]}
    assert named == {"10¹⁴": (2, 2.0), "3 × 10¹⁴": (1, 2.0)}
    assert chart.rows["beyond"] == []
    large = [{**row, "level": 3e8} for row in CURVES]
    counted = contours(large, level=Axis("level", words="count"))
    assert {row["text"] for row in counted.rows["labels"]} == {"300 M"}
    nameless = contours(CURVES, level=Axis("level", words="none"))
    assert nameless.rows["labels"] == [] and values_of(nameless)["gutter"] == 8
    with pytest.raises(ChartError, match="part .'dot'. is none of"):
        contours([{**CURVES[0], "part": "dot"}])


def test_beyond_a_chart_is_hatched():
    chart = lines([{"method": "a", "x": x, "y": x} for x in (1, 2)], extrapolated=1.5)
    names = {layer.get("name") for layer in chart.spec["layer"]}
    assert {"beyond", "hatching", "beyond_word"} <= names
    assert chart.rows["beyond"][0]["from"] == 1.5 and chart.rows["beyond"][0]["to"] == 2
    for drawn in (chart, contours(CURVES, extrapolated=1.5)):
        picture = export.svg(drawn)
        assert "extrapolated" in picture and picture == export.svg(drawn)
        assert picture.count("<line") > 30


def test_form_is_what_a_record_names():
    from workbench.figures.charts import FORMS as known

    assert set(known) == set(FORMS)
    assert all(isinstance(FORMS[name](), Chart) for name in known)


def test_a_roof_goes_along_the_bandwidth_and_then_the_peak():
    chart = roofline(WORK, roofs=ROOFS, slots={"dot": 1})
    corners = {name: [] for name in ("fast", "slow")}
    for row in chart.rows["roofs"]:
        corners[row["name"]].append((row["x"], row["y"]))
    for roof in ROOFS:
        for x, y in corners[roof["name"]]:
            assert y == pytest.approx(min(roof["peak"], x * roof["bandwidth"]))
        assert (roof["peak"] / roof["bandwidth"], roof["peak"]) in corners[roof["name"]]
    assert [row["present"] for row in chart.rows["roofs"]].count(True) == 3
    assert chart.rows["leaders"] == [{"slot": 1, "x": 50, "y": 0.2, "x2": 50, "y2": 0.1}]
    texts = {row["text"] for row in chart.rows["labels"]}
    assert texts == {"fast", "slow", "dot"}


def test_a_roofline_is_logarithmic_and_of_positive_work():
    with pytest.raises(ChartError, match="needs a logarithmic axis, not linear"):
        roofline(WORK, x=Axis("intensity"))
    with pytest.raises(ChartError, match="a logarithmic axis needs positive values"):
        roofline([{"method": "dot", "intensity": 0.0, "rate": 1.0}], roofs=ROOFS)


def test_groups_of_ranges_stand_apart_under_their_names():
    rows = [
        {"group": "one", "method": "a", "value": 3.0, "low": 1.0, "high": 9.0},
        {"group": "one", "method": "a", "value": 5.0},
        {"group": "two", "method": "a", "value": 200.0, "label": "the last"},
    ]
    chart = ranges(rows, Axis("value", "Steps", scale="log"))
    first, second, third = (row["y"] for row in chart.rows["live"])
    assert third - second > second - first > 0
    assert [name["text"] for name in chart.rows["names"]] == ["one", "two"]
    assert chart.rows["names"][1]["y"] == third
    assert chart.description.endswith("From 3 (one) to 200 (the last).")


def test_rules_stand_inside_the_plot_with_their_words_above_each_other():
    rows = [{"method": "a", "x": x, "y": x} for x in (1, 10, 100)]
    across = Axis("x", scale="log")
    chart = lines(rows, across, upright={"half": 10.0, "late": 90.0, "beyond": 1e4})
    rules = chart.rows["upright"]
    assert [rule["text"] for rule in rules] == ["half", "late"]
    assert rules[0]["y"] > rules[1]["y"]
    assert [rule["align"] for rule in rules] == ["left", "right"]


def test_words_of_a_rule_leave_a_foot_that_a_line_runs_through():
    flat = [{"method": "a", "x": x, "y": y} for x, y in ((0, 0), (50, 0.5), (100, 0))]
    far = [{"method": "b", "x": x, "y": y} for x, y in ((0, 10), (100, 5))]
    (rule,) = lines([*flat, *far], upright={"here": 40.0}, height=200).rows["upright"]
    assert rule["y"] < 100
    (rule,) = lines([*far, {"method": "b", "x": 0, "y": 0}], upright={"here": 60.0}).rows["upright"]
    assert rule["y"] > 100


def test_a_gap_goes_from_the_ideal_to_what_was_measured():
    chart = gaps(NETS, "ms", "top1", slots={"A": 1, "B": 2}, current="b")
    live = {row["key"]: row for row in chart.rows["live"]}
    assert set(live) == {"a ideal", "a measured", "b ideal", "b measured", "c ideal"}
    assert live["a ideal"]["predicted"] and not live["a measured"]["predicted"]
    assert {row["load"] for row in live.values()} == {"a", "b", "c"}
    assert [key for key, row in live.items() if row["current"]] == ["b measured"]
    assert [(g["x"], g["x2"], g["y"]) for g in chart.rows["gaps"]] == [(1, 4, 70), (3, 9, 80)]
    assert [row["key"] for row in chart.rows["spread"]] == ["b measured"]
    assert "from 3 times the ideal (A) to 4 times (small)" in chart.description
    assert {"A", "B", "small"} <= {row["text"] for row in chart.rows["labels"]}


def test_bars_of_a_waterline_are_as_wide_as_their_work_and_wet_under_it():
    chart = waterline(KERNELS, level=100.0, level_name="H: 100", slots={"deep": 1, "dry": 2})
    live = {row["label"]: row for row in chart.rows["live"]}
    assert [(row["x"], row["x2"]) for row in live.values()] == [(0, 25), (25, 100), (100, 100)]
    assert live["one"]["slower"] == 4 and live["two"]["slower"] == 1
    assert [row["label"] for row in chart.rows["water"]] == ["one", "three"]
    assert live["three"]["y"] == live["three"]["floor"] == values_of(chart)["y_low"]
    assert "2 of 3, 25 % of the width. Deepest: one, 4 times slower" in chart.description
    texts = {row["text"] for row in chart.rows["labels"]}
    assert {"deep", "dry", "4 ×"} <= texts and chart.rows["level"][0]["text"] == "H: 100"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"level": 0}, "level is 0; it must be above 0"),
        ({"y": Axis("intensity")}, "needs a logarithmic axis"),
        ({"width": "none"}, 'column "none" is missing'),
        ({"rows": [{**KERNELS[0], "width": -1.0}]}, "must be 0 or more"),
    ],
)
def test_what_a_waterline_cannot_draw_is_said(change, words):
    given = {"rows": KERNELS, "level": 100.0, **change}
    with pytest.raises(ChartError, match=words):
        waterline(given.pop("rows"), **given)
