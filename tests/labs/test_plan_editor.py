"""The plan editor: patterns, strokes, what each costs, and where a plan can go."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.labs import tiny
from workbench.diffusion.encoder_propagation import THE_PAPERS, EncoderPropagation
from workbench.diffusion.plan import Plan, PlanError
from workbench.diffusion.unet.program import program
from workbench.labs import diffusion
from workbench.labs.diffusion.own_plan import ACTIONS, OwnPlan, expanded, pattern_of, settings_of
from workbench.labs.diffusion.plan_cells import column, row_names
from workbench.labs.diffusion.plan_editor_view import GROUP, PlanEditorView
from workbench.labs.diffusion.plan_files import config_of, where_it_runs
from workbench.labs.diffusion.plan_grid import FILLS
from workbench.labs.diffusion.recorded import recorded
from workbench.panels.painting import Stroke
from workbench.panels.settings import accepted, start
from workbench.progress import silent

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def view():
    return PlanEditorView()


@pytest.fixture
def editor():
    made = diffusion.plan_editor()
    yield made
    made.close()


def settings(view, pattern, steps=10, **more):
    given = {"sampling": {"steps": steps}, GROUP: {"pattern": pattern, **more}}
    return accepted(view, start(view, given))


def paint(view, values, brush, cells, erase=False):
    """Settings after a stroke."""
    over = view.paint(Stroke(brush, erase, tuple(cells)), values)
    return (
        values
        if over is None
        else {**values, GROUP: OwnPlan.Knobs(**dict(values[GROUP]) | over[GROUP])}
    )


def actions(values):
    return expanded(values[GROUP].pattern, values["sampling"].steps)


# -- patterns -------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=60))
def test_a_pattern_gives_its_actions_back(does):
    assert expanded(pattern_of(does), len(does)) == tuple(does)


def test_patterns_repeat_and_are_cut():
    assert expanded("full, decode 2", 7) == ("full", "decode", "decode") * 2 + ("full",)
    assert expanded("full 9", 2) == ("full", "full")
    assert pattern_of(("full", "decode", "decode", "full", "decode")) == "full, decode 2"


@pytest.mark.parametrize("pattern", ["", "fll", "full decode", "full 0", "full, ", "full -1"])
def test_what_is_no_pattern_is_told(pattern):
    with pytest.raises(PlanError, match="A pattern is written like"):
        expanded(pattern, 5)


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("steps", [6, 20, 50])
def test_every_start_comes_back_as_itself(name, steps):
    plan = FILLS[name][1](steps)
    again = OwnPlan.of(plan).plan(steps)
    assert (again.actions, again.branch) == (plan.actions, plan.branch)
    assert "decode" not in plan.actions or again == plan


def test_a_list_that_belongs_to_so_many_steps_is_offered_there_alone(view):
    def offered(steps):
        values = settings(view, "full", steps)
        return {name for name, _ in view.hints(values).grids["paint"].fills} - set(FILLS)

    assert [offered(steps) for steps in (50, 75, 100)] == [
        {"list s2"}, {"list 75ls"}, {"list 100ls"}]  # fmt: skip
    values = paint(view, settings(view, "full", 75), "list 75ls", [])
    assert actions(values).count("full") == 31
    assert view.paint(Stroke("list 75ls", False, ()), settings(view, "full", 50)) is None


# -- cells ----------------------------------------------------------------------------------


def test_cells_agree_with_what_the_model_skips(view):
    """The recorded lists of wholly reused blocks come from the network's own program."""
    facts, names = view.facts, row_names(view.facts.costs)
    for kind, reused in facts.reused.items():
        action, _, branch = kind.partition(" ")
        states = dict(zip(names, column(facts, action, int(branch or 0), ()), strict=True))
        assert {name for name in facts.blocks if states[name] == "1"} == set(reused), kind
    assert dict(zip(names, column(facts, "decode", 0, ()), strict=True))["conv_in"] == "1"
    assert set(column(facts, "full", 0, ())) == {"0"}


def test_a_transformer_has_its_own_rows_and_no_shallow_brush():
    view = PlanEditorView(tiny.dit_pipeline())
    names = row_names(view.facts.costs)
    assert names == ("patches", "block.0", "block.1", "conv_out")
    kept = dict(zip(names, column(view.facts, "decode", 0, ()), strict=True))
    assert kept == {"patches": "1", "block.0": "1", "block.1": "0", "conv_out": "0"}
    values = accepted(view, start(view, {GROUP: {"pattern": "full, decode"}}))
    assert view.check(values) == []
    grid = view.hints(values).grids["paint"]
    assert [brush.id for brush in grid.brushes] == ["full", "decode", "inherit"]
    assert grid.heights[0] == 1.0 > grid.heights[1]


def test_where_a_plan_can_go_depends_on_the_model():
    plan = Plan(("full", "shallow"), branch=2)

    def told(pipeline):
        rows = where_it_runs(plan, config_of(pipeline)).rows
        return [(row[1].text, row[2]) for row in rows]

    json, torch, package = told(None)
    assert json[0] == torch[0] == package[0] == "yes"
    assert package[1].endswith("Branch 2 here is cache_branch_id 3 there.")
    json, torch, package = told(tiny.dit_pipeline())
    assert json[0] == "yes" and torch[0] == package[0] == "no"
    assert torch[1] == "The file for diffusers follows plans in a UNet; this model is a transformer"


def test_what_inherits_is_kept_with_all_that_only_it_reads(view):
    facts, names = view.facts, row_names(view.facts.costs)
    states = dict(zip(names, column(facts, "inherit", 0, ("up.0",)), strict=True))
    # The middle block feeds up.0 alone; the encoder still feeds up.1 through its skips.
    assert (states["up.0"], states["mid"], states["down.0"], states["up.1"]) == ("1", "1", "0", "0")
    unit = dict(zip(names, column(facts, "inherit", 0, ("up.0.layer.0.resnet",)), strict=True))
    assert unit["up.0"] == "2" and unit["mid"] == "0"


def test_shipped_nodes_are_the_models_own():
    structure = program(diffusion.pipeline().config)
    shipped = {node.name: node.inputs for node in recorded().facts.costs.nodes}
    assert shipped == {node.name: node.inputs for node in structure.nodes}


# -- strokes --------------------------------------------------------------------------------


def test_a_stroke_paints_its_columns_and_takes_them_back(view):
    values = settings(view, "full")
    values = paint(view, values, "decode", [(2, "mid"), (3, "mid")])
    assert actions(values) == ("full", "full", "decode", "decode", *["full"] * 6)
    values = paint(view, values, "decode", [(3, "mid")], erase=True)
    assert actions(values)[2:4] == ("decode", "full")
    assert view.paint(Stroke("full", False, ((0, "mid"),)), values) is None


def test_the_inherit_brush_minds_rows(view):
    values = paint(view, settings(view, "full"), "inherit", [(1, "up.0"), (2, "up.0")])
    assert actions(values)[:4] == ("full", "inherit", "inherit", "full")
    assert values[GROUP].inherited == "up.0"
    values = paint(view, values, "inherit", [(2, "mid")])
    assert values[GROUP].inherited == "up.0, mid"
    values = paint(view, values, "inherit", [(2, "up.0")], erase=True)
    assert values[GROUP].inherited == "mid" and actions(values)[2] == "inherit"
    # Nothing is left to inherit: those steps are whole again.
    values = paint(view, values, "inherit", [(2, "mid")], erase=True)
    assert set(actions(values)) == {"full"} and values[GROUP].inherited == ""
    assert paint(view, values, "inherit", [(2, "conv_out")]) == values


def test_a_fill_replaces_the_plan(view):
    values = paint(view, settings(view, "full", 50), "list paper", [])
    assert OwnPlan(values[GROUP]).plan(50) == EncoderPropagation().plan(50)
    assert view.paint(Stroke("no such brush", False, ()), values) is None


# -- the panel ------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_opens_on_a_recorded_list_without_a_model():
    script = """
import sys
from workbench.labs import diffusion
editor = diffusion.plan_editor()
assert editor.status["kind"] == "idle" and editor.preset == 0, editor.status
assert {"split", "grid", "error", "figures", "paint"} <= set(editor.picture.contents)
grid = editor.hints["grids"]["paint"]
assert grid["columns"].count("full") == 9 and len(grid["heights"]) == 50
stroke = {"type": "paint", "slot": "paint", "brush": "decode", "cells": [[1, "mid"]]}
editor._message(editor, stroke, [])
assert editor.hints["grids"]["paint"]["columns"].count("full") == 8
assert editor.status["kind"] == "predicted", editor.status
print(sorted(set(sys.modules) & {"jax", "flax", "optax", "torch"}))
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def say(panel, kind, **more):
    panel._message(panel, {"type": kind, **more}, [])


def test_cost_follows_every_stroke_and_undo_takes_it_back(editor):
    def operations():
        figures = {f.label: f.value for f in editor.picture.contents["figures"].figures}
        return float(figures["Operations"])

    before = operations()
    say(editor, "paint", brush="decode", cells=[[1, "mid"], [2, "mid"]])
    costs = recorded().facts.costs
    assert operations() < before
    assert operations() == pytest.approx(
        100 * costs.run(editor.plan).macs / 50 / costs.full.macs, 0.01
    )
    say(editor, "undo")
    assert operations() == before and editor.plan == EncoderPropagation(**THE_PAPERS).plan(50)


def test_each_stroke_is_undone_alone(editor):
    say(editor, "paint", brush="decode", cells=[[1, "mid"]], begins=True)
    say(editor, "paint", brush="decode", cells=[[2, "mid"]], begins=False)
    say(editor, "paint", brush="decode", cells=[[5, "mid"]], begins=True)
    say(editor, "undo")
    assert editor.plan.actions[1:6] == ("decode", "decode", "full", "decode", "full")
    say(editor, "undo")
    assert editor.plan == EncoderPropagation(**THE_PAPERS).plan(50)


def test_a_plan_that_cannot_run_is_told_in_one_line_and_stays_on_the_grid(editor):
    say(editor, "paint", brush="decode", cells=[[0, "mid"]])
    assert editor.status["kind"] == "invalid"
    assert editor.status["text"] == "Step 0 must run in full: there is nothing to reuse yet"
    grid = editor.hints["grids"]["paint"]
    assert grid["wrong"] == [0] and grid["columns"][0] == "decode" and grid["heights"] == []
    with pytest.raises(PlanError, match="Step 0"):
        _ = editor.plan
    say(editor, "paint", brush="decode", cells=[[0, "mid"]], erase=True)
    assert editor.status["kind"] != "invalid" and editor.plan.steps == 50


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"pattern": "full, skip 3"}, "You gave 'skip 3'"),
        ({"pattern": "full, inherit 3"}, "need the names of what they inherit"),
        ({"pattern": "full, inherit 3", "inherited": "up.9"}, "no block 'up.9'"),
        ({"pattern": "full, shallow 3", "branch": 30}, "Branch must be between 0 and 5"),
    ],
)
def test_bad_settings_are_named(editor, knobs, message):
    editor.load({GROUP: knobs})
    assert editor.status["kind"] == "invalid" and message in editor.status["text"]


def test_a_plan_given_from_python_is_what_is_shown():
    plan = Plan.from_full_steps([0, 3, 7], 9, "shallow", branch=1)
    editor = diffusion.plan_editor(plan=plan)
    assert editor.plan == plan and editor.settings["sampling"]["steps"] == 9
    assert settings_of(plan)["branch"] == 1
    editor.close()
    with pytest.raises(ValueError, match="not both"):
        diffusion.plan_editor(plan=plan, settings={})


def test_the_comparison_takes_the_plan(editor):
    sent = []
    editor.send = lambda message, buffers=None: sent.append(message)
    say(editor, "act", id="compare")
    assert "OwnPlan]" in sent[-1]["text"] and "'pattern'" in sent[-1]["text"]
    panel = diffusion.open(methods=[*diffusion.DEFAULT, diffusion.OwnPlan])
    beside = diffusion.plan_editor(panel=panel)
    say(beside, "paint", brush="decode", cells=[[1, "mid"]])
    say(beside, "act", id="compare")
    assert panel.settings[GROUP] == beside.settings[GROUP]
    assert panel.settings["sampling"]["look"] == "Your plan"
    for shown in (panel, beside):
        shown.close()
    with pytest.raises(TypeError, match="diffusion lab"):
        diffusion.plan_editor(panel=diffusion.blind())


@pytest.fixture
def quickly_compiled():
    """Programs here are many and small; what they compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("quickly_compiled")
def test_a_run_measures_the_painted_plan(home):
    view = PlanEditorView(tiny.pipeline())
    given = {"sampling": {"steps": 8, "seeds": 8}, GROUP: {"pattern": "full, decode, shallow"}}
    values = accepted(view, start(view, given))
    assert view.predict(values).basis == "predicted"
    picture = list(view.run(values, silent))[-1]
    assert picture.basis == "measured" and picture.comparison is not None
    rows = picture.contents["grid"].rows
    assert [row.label for row in rows] == ["Full sampling", "Your plan"]
    assert picture.contents["error"].rows["live"]
    assert picture.contents["figures"].figures[-1].basis == "measured"
