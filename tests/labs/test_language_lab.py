"""The language lab by itself: costs, crossings, gates, turns, curves, claims, first pictures."""

import math
import threading
import zipfile
from io import BytesIO
from types import SimpleNamespace

import jax
import pytest

from kernels_pallas.gated_delta_rule import cost as delta_cost
from kernels_pallas.gated_linear_attention import cost as gated_cost
from workbench import training
from workbench.labs import language
from workbench.labs.language import (
    claims,
    decode_shown,
    models,
    recorded,
    shelf,
    ternary_claim,
    train_shown,
)
from workbench.labs.language.cost_view import CostView
from workbench.labs.language.decode_run import Written
from workbench.labs.language.decode_shown import figures
from workbench.labs.language.decode_view import DecodeView
from workbench.labs.language.gates_view import GatesView
from workbench.labs.language.layer_cost import (
    crossing,
    crossing_of_points,
    layer_cost,
    weight_counts,
)
from workbench.labs.language.layer_timing import _pass
from workbench.labs.language.recall_view import RecallView
from workbench.labs.language.ternary_view import TernaryView
from workbench.labs.language.train_shown import Curve
from workbench.labs.language.train_view import TrainView
from workbench.labs.language.turns import Turns
from workbench.language.mixers.attention import AttentionConfig
from workbench.panels import wire
from workbench.panels.panel import Panel
from workbench.panels.picture import Written as Text
from workbench.panels.picture import WrittenContent
from workbench.panels.settings import accepted, plain, start
from workbench.progress import Cancelled

VIEWS = (CostView, DecodeView, GatesView, RecallView, TernaryView, TrainView)


def values(view, given=None):
    return accepted(view, start(view, given or {}))


@pytest.fixture(autouse=True)
def nothing_ships(monkeypatch):
    """The lab without shipped models and studies: what it says then."""
    monkeypatch.setattr(shelf, "shipped_books", list)
    monkeypatch.setattr(recorded, "read", lambda name: None)
    monkeypatch.setattr(recorded, "study", lambda name: None)


def test_costs_cross_where_the_formulas_do():
    assert crossing(lambda n: 1000.0, lambda n: float(n), 10**6) == pytest.approx(1000, rel=0.02)
    assert crossing(lambda n: 1000.0, lambda n: float(n), 500) is None
    assert crossing(lambda n: 0.5, lambda n: float(n), 500) == 1


def test_measured_curves_cross_between_their_points():
    points = [100, 400, 1600]
    found = crossing_of_points(points, [20, 20, 20], [10, 20 * math.sqrt(2), 80])
    ratio = math.log(2) / (math.log(2) + math.log(math.sqrt(2)))
    assert found == pytest.approx(100 * 4**ratio)
    assert crossing_of_points(points, [1, 1, 1], [2, 2, 2]) == 100
    assert crossing_of_points(points, [1, 1, 3], [2, 2, 2]) is None
    assert crossing_of_points([], [], []) is None


def test_a_cache_grows_and_a_state_does_not():
    def states(kind):
        costs = [
            layer_cost(kind, 256, length, token=True, cache_bytes=2, weight_bytes=2)
            for length in (128, 1024)
        ]
        return [cost.state for cost in costs], [cost.cost.bytes_moved for cost in costs]

    (short, long), (less, more) = states("attention")
    assert long == pytest.approx(8 * short, rel=1e-3) and more > less
    assert short == pytest.approx(2 * 128 * 256 * 2, rel=1e-3)
    (short, long), (less, more) = states("gla")
    assert short == long == 4 * 256**2 / 8 and less == more


@pytest.mark.parametrize(
    ("kind", "op", "key", "value"),
    [
        ("gla", gated_cost.step, 32, 64),
        ("delta_net", delta_cost.step, 64, 64),
    ],
)
def test_a_token_costs_what_its_recurrence_does(kind, op, key, value):
    """Beside the weights: the step op's state is read and written, and its products are counted."""
    mixer, width = models.mixer(kind, 256), 256
    found = layer_cost(kind, width, 64, token=True, cache_bytes=2, weight_bytes=2)
    (products, weights), state = weight_counts(kind, width), 4 * 4 * key * value
    convolved = 0 if kind == "gla" else 3 * width
    assert weights == products + 4 * convolved
    assert found.cost.bytes_moved == 2 * weights + 2 * (state + 4 * 3 * convolved)
    assert found.macs == products + op((1, 4, key), value).macs + 4 * convolved
    assert found.macs < products + mixer.macs(width, 64)


def test_attention_reads_its_cache_and_multiplies_with_each_head():
    config = AttentionConfig(num_heads=4, num_kv_heads=2)
    assert config.token_macs(64, 100) == 2 * 100 * 64
    found = layer_cost("attention", 256, 64, token=True, cache_bytes=2, weight_bytes=2)
    assert found.cost.bytes_moved == 2 * weight_counts("attention", 256)[1] + found.state


@pytest.mark.slow
def test_a_timed_token_is_written_into_the_states_memory():
    run, size = _pass(AttentionConfig(num_heads=1), 8, 64, token=True)
    _, before = run()
    _, after = run()
    leaves = jax.tree.leaves(before)
    assert leaves and all(leaf.is_deleted() for leaf in leaves)
    assert int(after.seen[0]) == 2 and sum(leaf.nbytes for leaf in jax.tree.leaves(after)) == size


def test_every_cost_stands_at_once_and_the_crossing_is_marked():
    view = CostView()
    picture = view.predict(values(view))
    assert picture.basis == "predicted"
    chart = picture.contents["seconds"].chart
    (rule,) = chart.rows["upright"]
    assert rule["text"].startswith("GLA from ")
    assert all(row["predicted"] for row in chart.rows["live"])

    def dearer(length):
        gla, attention = (
            layer_cost(kind, 1024, int(length), token=False, cache_bytes=2, weight_bytes=2).macs
            for kind in ("gla", "attention")
        )
        return gla > attention

    assert dearer(0.97 * rule["x"]) and not dearer(rule["x"])
    rows = {row[0].text: row[1:4] for row in picture.contents["crossings"].rows}
    assert rows["MLGRU"][1].text == "always" and rows["GLA"][1].text == "128"


def test_presets_fill_every_form_and_every_form_has_code_and_no_error():
    for kind in VIEWS:
        view = kind()
        for preset in view.presets:
            chosen = values(view, preset.values)
            assert not [p for p in view.check(chosen) if p.level == "error"]
            space: dict = {}
            code = view.code(chosen).replace("panel.run()\n", "").replace("panel.wait", "id")
            exec(code, space)
            assert space["panel"].settings == plain(chosen)
            space["panel"].close()


def test_exports_are_of_the_first_chart():
    view = CostView()
    chosen = values(view)
    picture = view.predict(chosen)
    name, data = view.export("zip", chosen, picture)
    assert name == "where-linear-wins.zip"
    assert any(file.endswith("figure.toml") for file in zipfile.ZipFile(BytesIO(data)).namelist())
    name, data = view.export("csv", chosen, picture)
    assert data.startswith(b"method,length,value,predicted")
    with pytest.raises(ValueError, match="no export of kind"):
        view.export("exe", chosen, picture)


def test_without_models_the_panels_say_what_would_open_one():
    for kind, slot, words in (
        (DecodeView, "texts", 'language.decode("my-model")'),
        (GatesView, "heads", 'language.gates("my-gla")'),
    ):
        view = kind()
        content = view.predict(values(view)).contents[slot]
        assert words in content.text
        with pytest.raises(ValueError, match="No trained model"):
            next(view.run(values(view), lambda *told: None))


def test_recall_goes_on_after_a_model_whose_loss_is_no_number(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))

    def trained(task, recipe, **more):
        if task.config.mixers[0].kind == "gla":
            raise training.NotANumber("Loss", 7, 5)
        return SimpleNamespace(evaluation={"accuracy_8": 0.25}, seconds=2.0)

    monkeypatch.setattr(training, "train", trained)
    view = RecallView()
    mixers = {kind: kind in ("gla", "delta_net") for kind in models.NAMES}
    given = {"task": {"pairs": "8", "steps": 10, "width": "32"}, "mixers": mixers}
    first, second = view.run(values(view, given), lambda *told: None)
    assert first.contents["accuracy"].text.startswith("Accuracy is measured")
    assert first.contents["state"].chart.rows["live"]
    answered, stopped = second.contents["table"].rows
    assert (answered[0].text, answered[3].text) == ("DeltaNet", "25 %")
    assert (stopped[0].text, stopped[3].text) == ("GLA", "Stopped")
    assert stopped[3].note == "seed 0: loss is not a number at step 7"
    assert {row["method"] for row in second.contents["accuracy"].chart.rows["live"]} == {"DeltaNet"}


def test_runs_compute_one_at_a_time_and_all_stop_at_a_halt():
    turns, busy, most, ended = Turns(["a", "b"], seconds=0.002), [], [], []

    def run(name):
        try:
            turns.begin(name)
            while True:
                busy.append(name)
                most.append(len(busy))
                busy.remove(name)
                turns.tick(name)
        except Cancelled:
            ended.append(name)
        finally:
            turns.leave(name)

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    while not all(turns.active[name] > 0.01 for name in "ab"):
        pass
    turns.halt()
    for thread in threads:
        thread.join(5)
    assert sorted(ended) == ["a", "b"] and max(most) == 1


def curve(name, losses, **more):
    rows = [{"step": 10 * k, "loss": loss * math.log(2)} for k, loss in enumerate(losses, 1)]
    rows[-1]["evaluation.bits_per_byte"] = losses[-1]
    given = {"slot": 1, "state": "done", "step": 10 * len(losses), "steps": 50, "parameters": 30000,
             "flops": 2e9, "bytes": 1000, "seconds": 0.5} | more  # fmt: skip
    return Curve(name=name, rows=rows, **given)


def test_curves_are_smoothed_and_what_diverged_is_left_out():
    chart = train_shown.learning([curve("GLA", [8.0, 6.0, 4.0, 1e6])], "about")
    assert [row["value"] for row in chart.rows["live"]] == pytest.approx([8.0, 7.0, 6.0])
    assert chart.rows["live"][-1]["across"] == pytest.approx(0.03)


def test_a_branch_goes_on_after_the_seconds_of_its_run():
    parent = curve("GLA", [8.0, 4.0])
    branch = curve("GLA, from 20", [3.0], offset=20, seconds=2.0, parent="GLA")
    chart = train_shown.against_seconds([parent, branch])
    ends = {row["method"]: row["across"] for row in chart.rows["live"]}
    assert ends == {"GLA": pytest.approx(10.0), "GLA, from 20": pytest.approx(30.0)}


def test_a_loss_that_is_no_number_is_told_in_the_table_and_at_the_line():
    words = "Loss is not a number at step 12. Last good checkpoint: step 6"
    stopped = curve("GLA", [8.0], state="stopped", words=words)
    (row,) = train_shown.table([stopped], 10**6).rows
    assert (row[1].text, row[1].verdict, row[1].note) == ("Stopped", "failed", words)
    assert train_shown.finding([stopped]) == f"GLA: {words}"
    chart = train_shown.learning([stopped, curve("RetNet", [7.0, 6.0])], "")
    assert "GLA stopped" in {label["text"] for label in chart.rows["labels"]}


def study(**bits):
    rows = [
        {"name": kind, "size": "300k", "seed": seed, "bits_per_byte": value + 0.001 * seed}
        for kind, value in bits.items() for seed in range(3)
    ]  # fmt: skip
    return rows, {"device": "CPU", "date": "1 May", "finished": True}


def test_a_claim_is_decided_where_seeds_part_the_models():
    order = {"no gate": 3.0, "fixed decay": 2.5, "scalar gate": 2.4, "GLA": 2.3}
    card = claims.gates(study(**order))
    assert card.verdict == "reproduced" and card.rows[3].here == "2.30"
    assert "300k" in card.setting and "1 May" in card.setting
    card = claims.gates(study(**{**order, "GLA": 2.45}))
    assert [row.verdict for row in card.rows] == ["open", "reproduced", "reproduced", "failed"]
    assert card.verdict == "failed"
    rows, about = study(**{**order, "GLA": 2.4})
    rows[-1]["bits_per_byte"] = 2.2
    assert claims.gates((rows, about)).rows[3].verdict == "open"
    assert claims.gates((rows, about)).verdict == "part"


def test_a_claim_without_a_study_is_not_decided():
    for card in (claims.gates(None), claims.recall(None)):
        assert card.verdict == "open" and {row.here for row in card.rows} == {"not run"}
    card = ternary_claim.card(None, None, None, "", decides=False)
    assert card.verdict == "open" and {row.here for row in card.rows} == {"not run"}


def test_a_state_stands_at_the_tokens_it_has_room_for():
    one = Written("GLA", ids=[1] * 33, prompt=7, room=207, state=3 << 20)
    rows = decode_shown.memory([shelf.Book("GLA", "somewhere", None)], [one]).rows["live"]
    assert [(row["x"], row["value"]) for row in rows] == [(207, 3)]


def test_rates_leave_the_prompt_out():
    one = Written("GLA", ids=[1] * 33, seconds=[9.0] + [0.5] * 32, prompt=7)
    assert one.first == 9.0 and one.rate == 2.0
    assert one.rates() == [(24, 2.0), (40, 2.0)]
    book = shelf.Book("GLA", "somewhere", None)
    shown = figures([book], [one], "measured").figures
    assert (shown[0].value, shown[0].unit, shown[1].value) == ("2", "tok/s", "9 s")


def test_written_texts_go_to_the_browser_as_their_kind():
    content = WrittenContent("Title", [Text("GLA", 1, "a ", "list", writing=True)])
    sent = wire.encode(content, {})
    assert sent["kind"] == "written" and sent["texts"][0]["writing"] is True


def test_importing_the_lab_and_drawing_its_form_loads_no_jax(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys\nfrom workbench.labs import language\n"
        "from workbench.labs.language.train_view import TrainView\n"
        "from workbench.labs.language.cost_knobs import GROUPS\n"
        "from workbench.panels import wire\n"
        "assert wire.schema(TrainView())['groups']\n"
        "assert 'jax' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=60)


def test_openers_are_those_of_the_package():
    assert set(language.__all__) >= {"decode", "gates", "own_mixer", "recall", "ternary", "train"}
    panel = language.recall()
    assert isinstance(panel, Panel) and panel.picture.contents["state"].chart is not None
    panel.close()
