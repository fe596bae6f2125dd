"""The lab's view before anything runs: recorded answers, predictions, checks, choices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workbench.diffusion.plan import Plan
from workbench.diffusion.planned import PlannedSampling
from workbench.figures.palette import SLOTS
from workbench.labs import diffusion
from workbench.labs.diffusion.methods import DEFAULT, chosen, group_id, sampling
from workbench.labs.diffusion.recorded import recorded
from workbench.labs.diffusion.view import DiffusionView
from workbench.panels import Panel
from workbench.panels.settings import accepted, start
from workbench.study import Knobs, knob

ROOT = Path(__file__).parents[2]
CHARTS = {"time_quality", "drift", "arithmetic"}


class EveryOther(PlannedSampling):
    """A user's method: every other step shallow, after some in full."""

    name = "Full, then every other"
    version = "1"

    class Knobs(Knobs):
        first: int = knob(2, ge=1, le=20, unit="steps", help="Steps in full before that.")

    def plan(self, steps: int) -> Plan:
        keys = [i for i in range(steps) if i < self.knobs.first or i % 2 == 0]
        return Plan.from_full_steps(keys, steps, "shallow")


@pytest.fixture
def view() -> DiffusionView:
    return DiffusionView()


def settings(view: DiffusionView, **groups):
    return accepted(view, start(view, groups))


def rows(picture, slot="time_quality"):
    return picture.contents[slot].rows["live"]


def row_of(picture, code):
    (row,) = [row for row in rows(picture) if row["key"] == code]
    return row


@pytest.mark.parametrize("index", [0, 1, 2])
def test_presets_answer_from_recorded_trials(view, index, monkeypatch):
    def run(values, report):
        raise AssertionError("a recorded answer starts no run")

    monkeypatch.setattr(view, "run", run)
    panel = Panel(view, settings=view.presets[index].values, quiet=0.0)
    panel._on_preset({"index": index})
    assert panel.wait(5)
    assert panel.status["kind"] == "idle" and panel.picture.basis == "recorded"
    assert view.recorded.date in panel.status["text"]
    assert panel.status["device"] == view.recorded.device
    assert panel.preset == index
    assert {*CHARTS, "error", "spectrum", "grid", "split", "scoreboard", "verdicts"} == set(
        panel.picture.contents
    )
    look = chosen(view.methods, panel.values)[1:]
    shown = {row["key"] for row in rows(panel.picture) if not row["predicted"]}
    assert {method.code() for method in look} <= shown
    panel.close()


def test_the_first_preset_is_where_the_panel_opens(view):
    panel = Panel(view)
    assert panel.preset == 0 and panel.history == {"undo": False, "redo": False}
    panel.close()


@pytest.mark.slow
def test_predictions_load_no_jax():
    """The first chart and every answer to a slider come without jax, flax, or a model."""
    script = """
import sys
from workbench.labs import diffusion
panel = diffusion.open()
view = panel.view
for values in ({"encoder_propagation": {"key_steps": "uniform", "interval": 7}},
               {"feature_inheritance": {"interval": 6, "branch": 1}},
               {"sampling": {"steps": 20, "look": "Feature inheritance"}},
               {"sampling": {"sampler": "dpm++", "guidance": 1.0}}):
    from workbench.panels.settings import accepted, merged
    picture = view.predict(accepted(view, merged(panel.state, values)))
    assert picture.basis == "predicted", values
    picture = view.annotate(picture, panel.values, {"A": panel.values})
assert view.code(panel.values)
print(sorted(set(sys.modules) & {"jax", "flax", "optax", "orbax", "torch"}))
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_setting_nobody_ran_is_foreseen_hollow(view):
    values = settings(view, feature_inheritance={"interval": 6}, sampling={"look": DEFAULT[1].name})
    picture = view.predict(values)
    assert picture.basis == "predicted" and picture.when == ""
    row = row_of(picture, "FeatureInheritance(interval=6)")
    assert row["predicted"] and row["x_low"] is None and row["y_low"] is None
    five = row_of(picture, "FeatureInheritance()")
    ten = row_of(picture, "FeatureInheritance(interval=10)")
    assert not five["predicted"] and not ten["predicted"]
    assert ten["x"] < row["x"] < five["x"]
    known = [r["y"] for r in rows(picture) if r["method"] == "Feature inheritance"]
    assert min(known) <= row["y"] <= max(known)
    table = picture.contents["scoreboard"]
    (line,) = [cells for cells in table.rows if cells[0].text == "Feature inheritance"]
    time = line[[column.label for column in table.columns].index("Time")]
    assert time.basis == "predicted" and time.text.lstrip("≈ ")


@pytest.mark.parametrize("knobs", [{"interval": 1}, {"interval": 2, "level": "unit"}])
def test_a_plan_of_nearly_all_operations_takes_nearly_the_baselines_time(view, knobs):
    values = settings(view, feature_inheritance=knobs)
    base, *methods = chosen(view.methods, values)
    (method,) = [m for m in methods if m.name == "Feature inheritance"]
    foresight = view._foresight(values)
    point, whole = foresight.foresee(method), foresight.point(base)
    ratio = point.seconds.value / whole.seconds.value
    assert 0.5 < point.share <= 1
    assert ratio == pytest.approx(point.share, rel=0.25) and (point.share < 1 or ratio == 1)


def test_a_plan_that_its_runs_foresee_to_be_slower_is_said_so(view):
    """Few operations are no help where the runs of a method take longer than they count."""
    values = settings(view, feature_inheritance={"interval": 6})
    assert not [p for p in view.check(values) if "as long" in p.message]
    context = view._context(values)
    base, *_ = chosen(view.methods, values)
    known = view._foresight(values).shipped
    slow = {c: p.scaled(20) for c, p in known.items() if p.method == "Feature inheritance"}
    view.measured[context] = {base.code(): known[base.code()], **slow}
    (said,) = [p for p in view.check(values) if "as long as the baseline" in p.message]
    assert (said.level, said.group) == ("warn", "feature_inheritance")


@pytest.mark.slow
def test_foreseen_operations_are_the_counted_ones(view):
    """The prediction without jax agrees with the counter that reads the traced program."""
    from workbench.diffusion.costs import plan_cost
    from workbench.labs.diffusion.sampling_study import pipeline

    subject = pipeline().with_sampling(sampler="ddim", steps=20, guidance=2.0)
    values = settings(view, sampling={"steps": 20}, encoder_propagation={"key_steps": "triangular"})
    for method in chosen(view.methods, values):
        point = view._foresight(values).foresee(method)
        counted = plan_cost(method.outline(subject))
        assert point.gmacs * 1e9 == pytest.approx(counted.macs, rel=1e-6), method
        assert point.kept_bytes == pytest.approx(counted.cache_bytes), method


def test_other_sampling_settings_show_nothing_recorded(view):
    picture = view.predict(settings(view, sampling={"steps": 20}))
    assert picture.basis == "predicted"
    assert rows(picture) and all(row["predicted"] for row in rows(picture))
    assert "grid" not in picture.contents and "split" not in picture.contents


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sampling": {"steps": 5}}, "Steps must be between 6 and 200. You gave 5"),
        ({"sampling": {"seeds": 1000}}, "Seeds must be between 8 and 128. You gave 1000"),
        ({"sampling": {"sampler": "heun"}}, "Sampler"),
        ({"sampling": {"look": "Nothing"}}, "Look at"),
        ({"feature_inheritance": {"interval": "many"}}, "Interval"),
        ({"nowhere": {"interval": 3}}, "There is no group 'nowhere'"),
        ({"feature_inheritance": {"speed": 3}}, "has no knob 'speed'"),
        ("{", "Settings are JSON text"),
        ("[1]", "Settings look like"),
    ],
)
def test_bad_settings_are_one_clear_line(given, words):
    with pytest.raises((ValueError, KeyError)) as raised:
        diffusion.open(settings=given)
    assert words in str(raised.value.args[0]) and "\n" not in str(raised.value.args[0])


@pytest.mark.parametrize(
    ("given", "level", "field", "words"),
    [
        (
            {"encoder_propagation": {"key_steps": "custom", "custom_steps": (3, 5)}},
            *("error", "key_steps", "Step 0 must run in full"),
        ),
        (
            {"encoder_propagation": {"key_steps": "custom", "custom_steps": (0, 70)}},
            *("error", "key_steps", "Step 70 is outside this run of 50 steps"),
        ),
        (
            {"encoder_propagation": {"key_steps": "100ls"}},
            *("error", "key_steps", "100ls is for runs of 100 steps. This run has 50"),
        ),
        ({"feature_inheritance": {"branch": 11}}, "error", "branch", "Branch must be between 0"),
        ({"feature_inheritance": {"interval": 1}}, "warn", "mode", "no time is saved"),
        ({"fewer_steps": {"steps": 100}}, "warn", "steps", "100 % more than the baseline"),
    ],
)
def test_plans_are_checked_before_they_run(view, given, level, field, words):
    problems = view.check(settings(view, **given))
    found = [p for p in problems if words in p.message]
    assert found and {p.level for p in found} == {level}
    assert field in ("", found[0].field)
    assert found[0].group in {group.id for group in view.groups}


def test_lists_are_offered_where_the_number_of_steps_fits(view):
    def withheld(steps):
        hints = view.hints(settings(view, sampling={"steps": steps}))
        return list(hints.withheld["encoder_propagation.key_steps"])

    assert withheld(50) == ["100ls", "75ls"] and withheld(100) == ["75ls", "s2"]
    assert withheld(60) == ["100ls", "75ls", "s2"]


def test_a_plan_that_cannot_run_starts_no_run(view, monkeypatch):
    monkeypatch.setattr(view, "run", lambda values, report: pytest.fail("it ran"))
    panel = Panel(view, quiet=0.0)
    before = panel.picture
    panel.load({"encoder_propagation": {"key_steps": "custom", "custom_steps": [4]}})
    panel.run()
    assert panel.wait(5)
    assert panel.status["kind"] == "invalid" and panel.picture is before
    assert "Step 0 must run in full" in panel.status["text"]
    panel.close()


def test_a_users_method_gets_a_colour_and_a_group_of_knobs():
    class Another(EveryOther):
        name = "Another one"

    view = DiffusionView([*DEFAULT, EveryOther, Another])
    own = [view.slots[EveryOther.name], view.slots["Another one"]]
    taken = [view.slots[m.name] for m in DEFAULT if m.name != "Fewer steps"]
    assert len({*own, *taken, 0}) == 5
    assert all(0 < slot < len(SLOTS) for slot in own)
    groups = {group.id: group for group in view.groups}
    assert groups["full_then_every_other"].method == own[0]
    values = settings(view, sampling={"look": EveryOther.name}, full_then_every_other={"first": 4})
    assert not [p for p in view.check(values) if p.level == "error"]
    picture = view.predict(values)
    assert picture.claim is None
    bars = {row["method"] for row in rows(picture, "arithmetic")}
    assert {"Full sampling", EveryOther.name, "Another one"} <= bars
    # No recorded run of this method: its operations are foreseen, its quality is not made up.
    assert not [r for r in rows(picture) if r["key"] == "EveryOther(first=4)"]
    line = picture.contents["scoreboard"].rows[[*view.slots].index(EveryOther.name)]
    assert line[2].text == "–" and line[0].method == own[0]


def test_only_ones_own_method():
    view = DiffusionView([EveryOther])
    assert len(view.presets) == 3
    for preset in view.presets:
        assert view.predict(accepted(view, start(view, preset.values))).contents
    with pytest.raises(ValueError, match="methods is empty"):
        DiffusionView([])


def test_every_recorded_point_loads_its_own_settings(view):
    for code, point in view.recorded.points.items():
        over = view.load(code)
        if point.method.startswith("Full sampling"):
            assert over is None
            continue
        values = accepted(view, start(view, over))
        assert sampling(values).look == point.method
        assert view._look(values).code() == code
    assert view.load("Nothing()") is None


def test_each_method_has_its_verdict_where_it_was_measured(view):
    def told(values):
        rows = view.predict(values).contents["verdicts"].rows
        return [(cells[0].text, cells[0].method, cells[1]) for cells in rows]

    lines = told(settings(view))
    assert [mark for _, mark, _ in lines] == [view.slots[method.name] for method in DEFAULT]
    found, methods = view.recorded.comparison, chosen(view.methods, settings(view))[1:]
    for (word, _, sentence), method in zip(lines, methods, strict=True):
        trials = found.tables.trials
        (name,) = trials["method"][trials["code"] == method.code()].unique()
        assert sentence == found.verdict(name).sentence
        assert word.lower() == found.verdict(name).word
    moved = told(settings(view, feature_inheritance={"interval": 6}))
    assert moved[0] == lines[0] and moved[2] == lines[2]
    assert moved[1][0] == "Not decided" and "not measured with these settings" in moved[1][2]
    assert {word for word, _, _ in told(settings(view, sampling={"steps": 20}))} == {"Not decided"}


def test_the_status_line_is_short_and_the_claim_follows_the_method(view):
    picture = view.predict(settings(view))
    assert [detail.split()[:2] for detail in picture.details] == [["Noise", "floor"]]
    panel = Panel(view)
    assert panel.picture.claim is not None
    panel.load({"sampling": {"look": "Fewer steps"}})
    assert panel.picture.claim is None
    panel.close()


def test_a_thumbnail_goes_to_the_split_viewer(view):
    picture = view.predict(settings(view))
    before = picture.contents["split"]
    chosen_one = view.choose("Feature inheritance|3", settings(view), picture)
    after = chosen_one.contents["split"]
    assert after.title.startswith("Seed 3") and after.tags == ("Full", "Feature inheritance")
    assert all(a != b for a, b in zip(after.pictures, before.pictures, strict=True))
    assert chosen_one.contents["grid"].chosen == "Feature inheritance|3"
    assert chosen_one.contents["drift"] is picture.contents["drift"]
    assert view.choose("Feature inheritance|x", settings(view), picture) is None


def test_a_thumbnail_is_named_and_loads_its_method(view):
    picture = view.predict(settings(view))
    full, encoder, *_ = picture.contents["grid"].rows
    assert full.images[2].alt == "seed 2, Full sampling, the reference"
    named = encoder.images[2].alt.rpartition(" ")
    assert named[0] == "seed 2, Encoder propagation, SSIM"
    shown = view.choose(encoder.images[2].key, settings(view), picture).contents["split"]
    assert ("SSIM", named[2]) in shown.caption
    assert encoder.images[2].loads and not full.images[2].loads
    over = view.load("Feature inheritance|2")
    assert accepted(view, start(view, over))["sampling"].look == "Feature inheritance"
    assert view.load(full.images[2].key) is None


def test_pins_leave_a_letter_on_the_chart(view):
    values = settings(view)
    picture = view.predict(values)
    marked = view.annotate(picture, values, {"A": values})
    assert picture.contents["time_quality"] != marked.contents["time_quality"]
    assert view.annotate(picture, values, {}) is picture
    spec = json.dumps(marked.contents["time_quality"].spec)
    assert '"A"' in spec + json.dumps(marked.contents["time_quality"].rows)


def test_hints_mark_the_steps_that_run_in_full(view):
    values = settings(view, encoder_propagation={"key_steps": "uniform", "interval": 5})
    hints = view.hints(values)
    strip = hints.strips["encoder_propagation.custom_steps"]
    assert strip.total == 50 and tuple(strip.filled) == tuple(range(0, 50, 5))
    assert hints.active == ("encoder_propagation",)


def test_drift_map_has_a_cell_for_each_block_and_step(view):
    for steps in (50, 20, 100):
        picture = view.predict(settings(view, sampling={"steps": steps}))
        cells = {(cell["block"], cell["step"]) for cell in rows(picture, "drift")}
        blocks = [block.replace(".", " ") for block in view.facts.blocks]
        assert cells <= {(block, step) for block in blocks for step in range(steps)}
        assert {block for block, _ in cells} == set(blocks)
        assert len(cells) > 0.9 * len(blocks) * steps


def test_the_record_is_whole():
    """What ships holds a point, pictures and settings for everything the panel opens with."""
    shipped = recorded()
    assert len(shipped.points) >= 8 and set(shipped.knobs) == set(shipped.points)
    base = shipped.points["FullSampling()"]
    assert base.share == 1 and base.seconds is not None and base.ssim == pytest.approx(1, abs=1e-5)
    for code, point in shipped.points.items():
        assert point.basis == "recorded" and point.seconds is not None, code
        assert point.seconds.low <= point.seconds.value <= point.seconds.high
        assert 0 < point.share <= 1 and np.isfinite(point.ssim)
        assert shipped.pictures[code].dtype == np.uint8 and len(shipped.pictures[code]) == 8
    assert shipped.drift.shape == (len(shipped.facts.blocks), shipped.setting["steps"])
    assert np.isnan(shipped.drift[:, 0]).all() and np.isfinite(shipped.drift[:, 1:]).all()
    assert set(shipped.facts.reused) >= {"decode", "shallow 0"}


def test_the_static_picture_is_an_svg(view):
    from xml.etree import ElementTree

    assert ElementTree.fromstring(view.svg(view.predict(settings(view)))).tag.endswith("svg")


def test_group_names_are_the_methods(view):
    assert [g.id for g in view.groups] == ["sampling", *(group_id(m) for m in DEFAULT)]
    assert view.groups[0].label == "Sampling"
