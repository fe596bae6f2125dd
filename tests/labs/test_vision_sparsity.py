"""The sparsity page: measured and modelled told apart, break-even, and verdicts."""

from dataclasses import replace

import pytest

from workbench.labs import vision
from workbench.labs.vision import sparsity_shown as shown
from workbench.labs.vision.sparsity_form import LAYERS
from workbench.labs.vision.sparsity_recorded import recorded
from workbench.labs.vision.sparsity_view import SparsityView
from workbench.measure.roofline import Peaks
from workbench.vision.pruning.density_timed import Accuracy, DensityTimed, break_even

PEAKS = Peaks("made up", {"float32": 1e11}, 1e10, "for tests")
LAYER = LAYERS["v1-14"]


def timed(density, speedup, low=None, high=None):
    spread = low or 0.95 * speedup, high or 1.05 * speedup
    return DensityTimed(1568, 512, 512, 64, density, 1e-3, 1e-3 / speedup, speedup, *spread, 7)


ROWS = [timed(0.75, 0.8), timed(0.5, 1.0), timed(0.17, 4.0)]
TWO_OF_FOUR = replace(timed(0.5, 0.7), structure="n of m")


def test_break_even_lies_between_the_densities_that_enclose_it():
    assert break_even([(0.5, 2.0), (1.0, 0.5)]) == pytest.approx(0.5**0.5)
    assert break_even([(0.1, 3.0), (0.5, 1.5)]) is None
    assert break_even([]) is None


def test_a_layer_is_modelled_by_the_larger_of_arithmetic_and_bytes():
    by_arithmetic = shown.modelled(LAYER, 1568, 64, 0.5, shown.BLOCKS, PEAKS)
    assert by_arithmetic == pytest.approx(2.0, rel=1e-3)
    slow_memory = PEAKS.replace(bytes_per_s=1e8)
    by_bytes = shown.modelled(LAYER, 1568, 64, 0.5, shown.BLOCKS, slow_memory)
    maps, weights = 4 * 1568 * 1024, 4 * 512 * 512
    held = 2 * 4 * 512 * 512 / 2 / 64**2
    assert by_bytes == pytest.approx((maps + weights) / (maps + weights / 2 + held))
    single = shown.modelled(LAYER, 1568, 64, 0.5, shown.SINGLE, slow_memory)
    assert single < by_bytes, "each single weight says where it is"


def test_measured_and_modelled_are_told_apart_and_break_even_is_marked():
    chart = shown.speed(LAYER, 1568, 64, [*ROWS, TWO_OF_FOUR], PEAKS, "somewhere, today")
    basis = {(row["method"], row["predicted"]) for row in chart.source}
    assert (shown.BLOCKS, False) in basis and (shown.BLOCKS_MODELLED, True) in basis
    assert {name for name, predicted in basis if not predicted} == {shown.BLOCKS, shown.N_OF_M}
    assert (shown.N_MODELLED, True) in basis
    assert "modelled by arithmetic and bytes, no measurement" in chart.subtitle
    assert chart.arguments["upright"]["break-even, measured"] == pytest.approx(50)
    assert chart.arguments["level"] == 1.0


def test_verdicts_say_where_it_is_not_worth_it():
    assert shown.worth(timed(0.17, 4.0)) == ("faster", "reproduced")
    assert shown.worth(timed(0.75, 0.8)) == ("not worth it: slower", "failed")
    assert shown.worth(timed(0.5, 1.0)) == ("not worth it: no faster", "failed")
    judged = [
        Accuracy("n", "dense", "", 1.0, 0.8, 0.7, 0.9, 100),
        Accuracy("n", "blocks", "50 %", 0.5, 0.6, 0.5, 0.65, 100),
    ]
    faster = shown.worth(timed(0.5, 2.0), judged[1], judged[0])
    assert faster == ("faster; not worth it before it is trained again", "part")
    trained = shown.worth(timed(0.5, 2.0), replace(judged[1], updates=9), judged[0])
    assert trained == ("faster; not worth it though trained again", "part")
    table = shown.table(LAYER, 1568, 64, [*ROWS, TWO_OF_FOUR], judged, PEAKS)
    assert [row[3].verdict for row in table.rows] == ["failed", "failed", "part", "failed"]
    assert [row[4] for row in table.rows] == ["–", "−20.0 points", "–", "–"]
    assert table.rows[3][0].text == "2 of 4" and table.rows[3][3].text == "not worth it: slower"
    assert {row[2].basis for row in table.rows} == {"predicted"}


def test_the_first_picture_is_recorded_with_device_and_date():
    view = SparsityView()
    values = {group.id: group.knobs() for group in view.groups}
    picture = view.predict(values)
    assert picture.basis == "recorded" and picture.when == recorded().date and picture.device
    chart = picture.contents["speed"].chart
    measured = [row for row in chart.source if not row["predicted"]]
    assert len(measured) == 7 and all(row["low"] <= row["speed"] <= row["high"] for row in measured)
    assert all(row["speed"] < 1.1 for row in measured if row["method"] == shown.N_OF_M)
    sixth = [row for row in measured if row["percent"] < 18]
    assert sixth and all(row["speed"] > 2 for row in sixth), "what ships was at least twice as fast"
    figures = picture.contents["figures"].figures
    assert figures[-1].label == "MobileNet V1, whole" and "modelled" in figures[-1].interval
    assert {row.verdict for row in picture.claim.rows} == {"open"} and len(picture.claim.rows) == 3
    assert {"densities", "networks", "accuracies"} == set(view.tables(values, picture))


@pytest.mark.parametrize("how", ["gradually", "once"])
def test_accuracies_are_of_one_way_of_pruning(how):
    view = SparsityView()
    values = {group.id: group.knobs() for group in view.groups}
    values["network"] = values["network"].model_copy(update={"how": how})
    chart = view.predict(values).contents["accuracy"].chart
    assert len(chart.source) > 8
    assert ("more updates" in chart.subtitle) == (how == "gradually")
    whole = [row["top1"] for row in chart.source if row["percent"] == 100]
    assert len(whole) == 3 and len(set(whole)) == 1


def test_what_was_not_timed_says_so_and_models_all_the_same():
    view = SparsityView()
    values = {group.id: group.knobs() for group in view.groups}
    values["layer"] = values["layer"].model_copy(update={"layer": "next-28", "block": "128"})
    picture = view.predict(values)
    assert picture.basis == "predicted"
    assert all(row["predicted"] for row in picture.contents["speed"].chart.source)
    assert picture.contents["verdict"].action == view.verb
    assert vision.sparsity.__name__ in view.code(values)


@pytest.mark.slow
@pytest.mark.long
def test_the_page_times_and_judges_here():
    view = SparsityView()
    values = {group.id: group.knobs() for group in view.groups}
    values["layer"] = values["layer"].model_copy(update={"batch": "1"})
    values["network"] = values["network"].model_copy(update={"how": "once"})
    pictures = list(view.run(values, lambda *_: None))
    assert [one.basis for one in pictures] == ["measured"] * 3
    assert len(view.timed) == 7 and len(view.networks) == 1 and len(view.judged) == 12
    whole, *rest = view.judged
    assert whole.structure == "dense" and whole.top1 >= max(row.top1 for row in rest) - 0.05
