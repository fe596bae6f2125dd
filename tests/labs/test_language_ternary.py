"""The ternary page: its claim card, what ships recorded, packed sizes, memory of training."""

import pytest

from workbench.labs.language import recorded, shelf, ternary_claim, ternary_shown
from workbench.labs.language.ternary_memory import TrainingMemory
from workbench.labs.language.ternary_shown import PUBLISHED, ternary_sizes
from workbench.labs.language.ternary_view import TernaryView
from workbench.language.published import PUBLISHED as PUBLISHED_CONFIGS
from workbench.measure.memory import MemoryEstimate
from workbench.panels.settings import accepted, start


def values(view, given=None):
    return accepted(view, start(view, given or {}))


@pytest.fixture(autouse=True)
def nothing_ships(monkeypatch):
    """The page without shipped models and records."""
    monkeypatch.setattr(shelf, "shipped_books", list)
    monkeypatch.setattr(recorded, "read", lambda name: None)


def benchmarked(**figures):
    names = {"kept": ternary_claim.KEPT, "planned": ternary_claim.PLANNED,
             "weights": ternary_claim.WEIGHTS}  # fmt: skip
    found = {names[key]: recorded.Measured(value) for key, value in figures.items()}
    return recorded.Benchmarked(found, "python here", "CPU", "1 May")


def test_the_ternary_card_holds_the_records_and_what_is_compiled_here():
    decoding, training = benchmarked(weights=12.5), benchmarked(kept=60.0, planned=6.4)
    card = ternary_claim.card(decoding, training, None, "", decides=False)
    assert [row.here for row in card.rows] == ["−60 %", "−6 %", "12.5 ×"]
    assert [row.verdict for row in card.rows] == ["reproduced", "part", "reproduced"]
    assert card.verdict == "part" and "1 May" in card.setting
    card = ternary_claim.card(decoding, training, -0.1, "width 9", decides=False)
    assert (card.rows[1].here, card.rows[1].verdict) == ("+10 %", "open")
    assert "width 9, compiled here" in card.setting
    card = ternary_claim.card(decoding, training, -0.1, "width 9", decides=True)
    assert card.rows[1].verdict == "failed"
    few = ternary_claim.card(benchmarked(weights=9.0), training, 0.6, "", decides=True)
    assert [row.verdict for row in few.rows] == ["reproduced", "reproduced", "failed"]


def test_what_is_recorded_of_a_shipped_ternary_model_is_shown_first(monkeypatch):
    one = {
        "name": "model.layers.0.attn.i_proj", "shape": [32, 32], "size": 0.1,
        "shares": [0.3, 0.4, 0.3], "counts": [1] * 80, "weight_error": 0.5, "output_error": 0.6,
    }  # fmt: skip
    forms = [
        f"{form}, {part}"
        for form in ("fused", "plain")
        for part in (
            "activations kept for the backward pass", "weights and their gradients",
            "everything else in XLA's plan",
        )
    ]  # fmt: skip
    names = (ternary_claim.KEPT, ternary_claim.PLANNED, *forms)
    figures = {name: [10.0, None, None] for name in names}
    record = {"figures": figures, "command": "here", "device": "CPU", "date": "1 May"}
    files = {"ternary.json": {"models": {"Tiny": [one]}, "benchmarks": {"training": record}}}
    monkeypatch.setattr(recorded, "read", files.get)
    config = PUBLISHED_CONFIGS["matmulfree-370m"]
    monkeypatch.setattr(shelf, "shipped_books", lambda: [shelf.Book("Tiny", "nowhere", config)])
    view = TernaryView()
    picture = view.predict(values(view))
    assert (picture.basis, picture.when, picture.device) == ("recorded", "1 May", "CPU")
    (row,) = picture.contents["errors"].chart.rows["live"]
    assert (row["group"], row["value"]) == ("layer 1", 50.0)
    assert "40 %" in picture.contents["histogram"].chart.subtitle
    assert picture.claim.rows[0].here == "−10 %" and not view.layers
    assert [row[1:] for row in picture.contents["memory"].rows] == [["10 MiB"] * 3] * 2


def test_decoding_is_shown_beside_the_fastest_dense_form():
    figures = {
        "packed, tokens a second": recorded.Measured(100.0, 90.0, 110.0),
        "int8, JAX, tokens a second": recorded.Measured(40.0),
        "float32, JAX, tokens a second": recorded.Measured(20.0),
        "float32, torch, tokens a second": recorded.Measured(17.0),
        "time of float32, JAX over packed": recorded.Measured(5.0, 4.5, 5.5),
        "packed time over its floor": recorded.Measured(3.8),
        "packed, body and head": recorded.Measured(82.0),
        "float32, JAX, body and head": recorded.Measured(1302.0),
    }
    found = ternary_shown.decoding(recorded.Benchmarked(figures, "here", "CPU", "1 May"))
    assert [(one.label, one.value, one.interval) for one in found.figures][:4] == [
        ("Packed", "100", "90–110"),
        ("Fastest in float", "20", "float32, JAX"),
        ("A byte a weight", "40", "int8, JAX"),
        ("Packed is faster", "5", "4.50–5.50"),
    ]
    assert "1 May" in found.subtitle


def test_the_records_that_ship_make_the_ternary_page(monkeypatch):
    monkeypatch.undo()
    view = TernaryView()
    picture = view.predict(values(view))
    assert picture.basis == "recorded" and len(picture.contents["decoding"].figures) >= 5
    assert len({row["group"] for row in picture.contents["errors"].chart.rows["live"]}) == 4
    assert [row.here != "not run" for row in picture.claim.rows] == [True] * 3


def test_packed_sizes_are_the_published_ones():
    for model, two, base3 in (("370m", 81, 65), ("1.3b", 310, 248), ("2.7b", 625, 500)):
        sizes = ternary_sizes(*PUBLISHED[model][1:])
        assert sizes["2 bits"] / 2**20 == pytest.approx(two, abs=0.6)
        assert sizes["base 3, five a byte (as here)"] / 2**20 == pytest.approx(base3, abs=0.6)


def test_training_memory_is_all_that_is_held_and_decided_at_one_setting():
    held = {"arguments": 10, "outputs": 10, "aliased": 0, "code": 5}
    memory = TrainingMemory(
        MemoryEstimate(temporaries=20, **held), MemoryEstimate(temporaries=60, **held)
    )
    assert memory.saving == 0.5
    view = TernaryView()
    for setting, verdict in (
        ((24, 4, 2048), "part"),
        ((24, 1, 1024), "open"),
        ((2, 4, 2048), "open"),
    ):
        view.memory[setting] = memory
        knobs = dict(zip(("layers", "batch", "tokens"), setting, strict=True))
        picture = view.predict(values(view, {"training": knobs}))
        row = picture.claim.rows[1]
        assert row.verdict == verdict and row.here == "−50 %"
