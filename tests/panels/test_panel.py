"""The Python side of the panel: what a message or a moved knob does, without a browser."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.panels.panel_bench import Bench
from tests.panels.panel_demo import DemoView
from workbench.panels.panel import Panel
from workbench.panels.picture import EmptyContent, Picture
from workbench.panels.view import Values

Make = Callable[..., Bench]


def test_it_opens_on_the_recorded_trial_and_runs_nothing(make: Make) -> None:
    bench = make()
    assert bench.kind() == "idle"
    assert bench.panel.status["text"] == "Shipped result, measured 3 June"
    assert bench.panel.preset == 0
    assert bench.panel.view.runs == []


def test_a_move_is_predicted_at_once_then_measured(make: Make) -> None:
    bench = make()
    bench.say("hello")
    bench.move("encoder", "group", 8)
    assert bench.kind() == "predicted"
    rows = bench.slots()["pareto"]["rows"]
    assert any(row["predicted"] for row in rows)
    assert bench.slots()["images"]["stale"] and not bench.slots()["pareto"]["stale"]
    bench.until(lambda: bench.kind() == "done")
    assert not any(row["predicted"] for row in bench.slots()["pareto"]["rows"])
    assert not bench.slots()["images"]["stale"]


def test_a_move_costs_the_kernel_little_before_the_prediction_is_sent(make: Make) -> None:
    bench = make(quiet=60)
    bench.say("hello")
    taken = []
    for value in range(14, 4, -1):
        begin = time.process_time()
        bench.move("encoder", "group", value)
        taken.append(time.process_time() - begin)
    # About 4 ms without the type checks that tests put on every call; the browser gets the rest.
    assert min(taken) < 0.1, taken


def test_settings_that_come_back_answer_from_the_earlier_run(make: Make) -> None:
    bench = make()
    for value in (8, 9, 8):
        bench.move("encoder", "group", value)
        bench.until(lambda: bench.kind() in ("done", "cached"))
    assert bench.kind() == "cached"
    assert bench.panel.status["text"].startswith("From an earlier run, measured ")
    assert len(bench.panel.view.runs) == 2


def test_only_the_last_of_many_moves_is_run(make: Make) -> None:
    bench = make(quiet=0.5)
    for value in range(2, 12):
        bench.move("encoder", "group", value)
    bench.until(lambda: bench.kind() == "done")
    assert [run["encoder"].group for run in bench.panel.view.runs] == [11]


def test_a_bad_value_names_the_field_and_starts_nothing(make: Make) -> None:
    bench = make()
    bench.move("sampling", "steps", 0)
    assert bench.kind() == "invalid"
    (problem,) = bench.panel.problems
    assert (problem["group"], problem["field"], problem["level"]) == ("sampling", "steps", "error")
    assert problem["message"] == "Steps must be between 1 and 100. You gave 0"
    bench.say("run")
    time.sleep(0.1)
    assert bench.panel.view.runs == []
    assert bench.panel.settings["sampling"]["steps"] == 50
    bench.move("sampling", "steps", 40)
    assert bench.panel.problems == []
    bench.until(lambda: bench.kind() == "done")


def test_every_bad_field_is_named_and_a_bad_plan_is_refused(make: Make) -> None:
    bench = make()
    state = json.loads(json.dumps(bench.panel.state))
    state["encoder"].update(group=99, noise="much")
    bench.panel.state = state
    assert {p["field"] for p in bench.panel.problems} == {"group", "noise"}
    state = json.loads(json.dumps(state))
    state["encoder"].update(group=15, noise=0.0, plan="own", key_steps=[4])
    bench.panel.state = state
    assert bench.kind() == "invalid"
    assert bench.panel.problems[0]["message"].startswith("Step 0 must run in full")


def test_a_warning_is_shown_and_the_run_goes_on(make: Make) -> None:
    bench = make()
    bench.move("encoder", "group", 30)
    assert bench.panel.problems[0]["level"] == "warn"
    assert bench.panel.problems[0]["field"] == "group"
    bench.until(lambda: bench.kind() == "done")


def test_stop_keeps_what_was_done(make: Make) -> None:
    bench = make(DemoView(chunk=0.05, chunks=40))
    bench.move("encoder", "group", 8)
    bench.until(lambda: bench.kind() == "running" and bench.panel.status["text"] != "Starting")
    assert bench.panel.status["action"]["id"] == "stop"
    bench.say("stop")
    bench.until(lambda: bench.kind() == "stopped")
    assert " of 40" in bench.panel.status["text"]
    assert bench.panel.status["action"]["id"] == "run"


class Unforeseen(DemoView):
    """Knows nothing before it has run."""

    def predict(self, values: Values) -> Picture | None:
        return None


class Blank(DemoView):
    """Foresees that there is nothing to show."""

    def predict(self, values: Values) -> Picture:
        contents = super().predict(values).contents
        return Picture(
            {slot: EmptyContent("Nothing", "Nothing yet") for slot in contents}, basis="predicted"
        )


@pytest.mark.parametrize("kind", [DemoView, Unforeseen, Blank])
def test_a_stop_before_the_run_starts_is_not_forgotten(make: Make, kind: type[DemoView]) -> None:
    bench = make(kind(), quiet=0.2)
    bench.move("encoder", "group", 8)
    assert bench.panel.status["action"]["id"] == "stop", "Run would start what Stop was meant for"
    bench.say("stop")
    assert bench.kind() == "stopped"
    time.sleep(0.3)
    assert bench.panel.view.runs == []


def test_an_error_keeps_the_last_picture_marked_stale(make: Make) -> None:
    bench = make()
    bench.say("hello")
    bench.move("encoder", "group", 13)
    bench.until(lambda: bench.kind() == "error")
    assert bench.panel.status["text"].startswith("Loss is not a number at step 372.")
    assert "ValueError" in bench.panel.status["trace"]
    assert bench.slots()["images"]["stale"] and bench.slots()["pareto"]["stale"]
    bench.move("encoder", "group", 12)
    bench.until(lambda: bench.kind() == "done")


def test_a_view_that_cannot_predict_does_not_kill_the_panel(make: Make) -> None:
    class Broken(DemoView):
        def predict(self, values: Values) -> Picture:
            if values["encoder"].group == 7:
                raise KeyError("no such table")
            return super().predict(values)

    bench = make(Broken())
    bench.move("encoder", "group", 7)
    assert bench.kind() == "error" and "no such table" in bench.panel.status["text"]
    bench.move("encoder", "group", 8)
    bench.until(lambda: bench.kind() == "done")


@pytest.mark.parametrize("verb", ["check", "hints"])
def test_a_view_that_fails_before_it_predicts_says_so_and_goes_on(make: Make, verb: str) -> None:
    view = DemoView()
    usual = getattr(view, verb)

    def fails(values: Values) -> Any:
        if values["encoder"].group == 9:
            raise AttributeError("module is half imported")
        return usual(values)

    setattr(view, verb, fails)
    bench = make(view)
    bench.move("encoder", "group", 10)
    bench.move("encoder", "group", 9)
    assert bench.kind() == "error" and "half imported" in bench.panel.status["text"]
    assert bench.panel.wait(5) and bench.kind() == "error"  # no run of the setting before
    bench.move("encoder", "group", 8)
    bench.until(lambda: bench.kind() == "done")


def test_without_prediction_or_automatic_runs_the_picture_is_stale(make: Make) -> None:
    class Slow(DemoView):
        automatic = False

        def predict(self, values: Values) -> Picture | None:
            return super().predict(values) if not self.started else None

        started = False

    view = Slow()
    bench = make(view)
    view.started = True
    bench.say("hello")
    bench.move("encoder", "group", 8)
    assert bench.kind() == "stale" and bench.slots()["pareto"]["stale"]
    time.sleep(0.1)
    assert view.runs == []
    bench.say("run")
    bench.until(lambda: bench.kind() == "done")


def test_undo_and_redo(make: Make) -> None:
    bench = make()
    assert bench.panel.history == {"undo": False, "redo": False}
    bench.move("encoder", "group", 8)
    bench.move("inherit", "interval", 3)
    bench.say("undo")
    assert bench.panel.settings["inherit"]["interval"] == 5
    assert bench.panel.settings["encoder"]["group"] == 8
    bench.say("undo")
    assert bench.panel.preset == 0
    assert bench.panel.history == {"undo": False, "redo": True}
    bench.say("redo")
    assert bench.panel.state["encoder"]["group"] == 8
    bench.move("encoder", "group", 4)
    assert bench.panel.history == {"undo": True, "redo": False}


def test_a_drag_is_one_step_back(make: Make) -> None:
    bench = make()
    bench.panel._history._clock = lambda: 0.0  # a busy machine would drag in slow motion
    for value in range(14, 4, -1):
        bench.move("encoder", "group", value)
    bench.say("undo")
    assert bench.panel.settings["encoder"]["group"] == 15


def test_pins_have_letters_names_and_load(make: Make) -> None:
    bench = make()
    bench.say("pin")
    bench.say("pin")
    assert [p["letter"] for p in bench.panel.pins] == ["A"]
    for value in (8, 7, 6, 5):
        bench.move("encoder", "group", value)
        bench.say("pin")
    assert [p["letter"] for p in bench.panel.pins] == ["A", "B", "C", "D"]
    assert bench.panel.pins[1]["label"] == "Largest group 8" and bench.panel.pins[1]["mark"] == 1
    bench.say("unpin", letter="B")
    bench.say("pin")
    assert [p["letter"] for p in bench.panel.pins] == ["A", "B", "C", "D"]
    bench.say("pinned", letter="C")
    assert bench.panel.settings["encoder"]["group"] == 7


def test_pins_reach_the_picture_through_annotate(make: Make) -> None:
    class Marked(DemoView):
        def annotate(self, picture: Picture, values: Values, pins: Any) -> Picture:
            chart: Any = picture.contents["pareto"]
            named = replace(chart, subtitle=" ".join(pins))
            return replace(picture, contents={**picture.contents, "pareto": named})

    bench = make(Marked())
    bench.say("pin")
    assert bench.slots()["pareto"]["subtitle"] == "A"
    assert bench.panel.picture.contents["pareto"].subtitle != "A"


def test_presets_points_and_thumbnails_load(make: Make) -> None:
    bench = make()
    bench.say("preset", index=1)
    assert bench.panel.settings["encoder"]["plan"] == "every" and bench.panel.preset == 1
    bench.say("load", key="1/0", kind="chart")
    assert bench.panel.settings["encoder"]["group"] == 8 and bench.panel.preset == -1
    bench.say("hello")
    bench.say("load", key="2/5", kind="images")
    assert bench.slots()["split"]["title"].startswith("Seed 6")
    assert bench.slots()["images"]["chosen"] == "2/5"


def test_settings_are_copied_as_text_and_restored(make: Make) -> None:
    bench = make()
    bench.move("encoder", "noise", 0.005)
    bench.move("encoder", "key_steps", [0, 4])
    bench.say("settings")
    text = bench.sent[-1][0]["text"]
    other = make(settings=text)
    assert other.panel.settings == bench.panel.settings
    assert other.panel.settings["encoder"]["key_steps"] == [0, 4]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"encoder": 3}', "Settings look like"),
        ("{", "Settings are JSON"),
        ({"encoder": {"group": 0}}, "Largest group must be between 1 and 32"),
    ],
)
def test_bad_settings_are_refused(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Panel(DemoView(), settings=given)


def test_unknown_settings_are_named() -> None:
    with pytest.raises(KeyError, match="no knob 'size'"):
        Panel(DemoView(), settings={"encoder": {"size": 1}})


def test_blind_answers_are_unshuffled_and_end_in_a_sentence(make: Make) -> None:
    bench = make()
    sides = bench.panel._sides
    for index in range(20):
        second = "left" if sides.swapped("blind", index) else "right"
        bench.say("answer", slot="blind", side=second)
    verdict = bench.panel.answers["blind"]["verdict"]
    assert verdict.startswith("Encoder propagation wins 100 % of 20 pairs against Full sampling")
    assert verdict.endswith("It looks better.")
    bench.say("hello")
    assert bench.slots()["blind"]["names"] == ["", ""]
    bench.say("answer", slot="blind", side="again")
    assert bench.panel.answers["blind"]["sides"] == []


def test_answers_stay_with_the_pairs_they_were_given_to(make: Make) -> None:
    bench = make()
    bench.say("answer", slot="blind", side="left")
    bench.move("encoder", "group", 8)
    bench.until(lambda: bench.kind() == "done")
    assert bench.panel.answers["blind"]["sides"] == ["left"]
    pairs: Any = bench.panel.picture.contents["blind"]
    bench.panel._show(Picture({"blind": replace(pairs, pairs=pairs.pairs[::-1])}))
    assert bench.panel.answers == {}


def test_a_view_has_three_presets() -> None:
    class Two(DemoView):
        presets = DemoView.presets[:2]

    with pytest.raises(ValueError, match="exactly three presets"):
        Panel(Two())
