"""A user's method in the lab that is more than a plan: weights changed before they run."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from tests.labs import tiny
from tests.labs.test_run import SMALL, rows
from workbench.diffusion.full_sampling import FullSampling
from workbench.diffusion.planned import PlannedSampling
from workbench.labs import diffusion
from workbench.labs.diffusion.methods import DEFAULT, chosen
from workbench.labs.diffusion.scene import setting_words
from workbench.labs.diffusion.view import DiffusionView
from workbench.panels.settings import accepted, start
from workbench.progress import silent
from workbench.study import Knobs, Method, Problem, compare, knob


class Rounded(Method):
    """Every weight to a float type of fewer bits and back."""

    name = "Rounded, all weights"
    kind = "transform"
    version = "1"

    class Knobs(Knobs):
        steps: int = knob(0, ge=0, le=9, help="A knob that is no number of sampling steps.")

    def prepare(self, subject, seed=0, report=silent):
        weights = tuple(w.astype(jnp.bfloat16).astype(w.dtype) for w in subject.weights)
        return replace(subject, weights=weights, weights_hash=f"{subject.weights_hash} rounded")

    def apply(self, artifact, inputs):
        from workbench.diffusion.driver import sample

        return sample(artifact, inputs)


class Picky(Rounded):
    """One that knows its limits."""

    name = "Picky"
    version = "1"

    def check(self, subject):
        if subject.steps < 10:
            return [Problem("error", "steps", f"{subject.steps} steps are too few to round")]
        return []


@pytest.fixture(scope="module")
def lab():
    return DiffusionView([*DEFAULT, Rounded], tiny.pipeline())


def settings(view, look=Rounded.name, **more):
    given = SMALL | {"sampling": SMALL["sampling"] | {"look": look} | more}
    return accepted(view, start(view, given))


def line(picture, name=Rounded.name):
    (found,) = [row for row in picture.contents["scoreboard"].rows if row[0].text == name]
    return found


def test_nothing_is_made_up_before_it_runs(lab):
    values = settings(lab)
    assert not [p for p in lab.check(values) if p.group == "rounded_all_weights"]
    picture = lab.predict(values)
    assert picture.basis == "predicted" and picture.claim is None
    assert {getattr(cell, "text", cell) for cell in line(picture)[1:]} == {"–"}
    assert Rounded.name not in {row["method"] for row in rows(picture, "arithmetic")}
    assert not any(row["reused"] for row in rows(picture, "drift"))


@pytest.mark.slow
@pytest.mark.long
def test_it_runs_beside_the_plans(lab, workbench_home):
    values = settings(lab)
    *_, last = lab.run(values, silent)
    (row,) = [row for row in rows(last) if row["key"] == "Rounded()"]
    assert not row["predicted"] and row["x"] > 0 and 0.5 < row["quality"] < 1
    (bar,) = [row for row in rows(last, "arithmetic") if row["method"] == Rounded.name]
    assert not bar["predicted"], "its time is measured, its operations are not counted"
    found = compare([FullSampling(), Rounded()], diffusion.study(tiny.pipeline(), steps=8, seeds=8),
                    repeats=0)  # fmt: skip
    point = lab.measured[lab._context(values)]["Rounded()"]
    assert point.method == Rounded.name and np.isnan(point.share)
    assert point.ssim == found.value(Rounded.name, "quality.ssim").value
    again = lab.predict(settings(lab))
    assert again.basis == "measured" and line(again)[2].text != "–"


def test_it_checks_the_model_it_will_meet():
    view = DiffusionView([Picky], tiny.pipeline())
    (problem,) = view.check(settings_of(view, 8))
    assert (problem.level, problem.field, problem.group) == ("error", "steps", "picky")
    assert problem.message == "8 steps are too few to round"
    assert view.check(settings_of(view, 10)) == []


def settings_of(view, steps):
    return accepted(view, start(view, {"sampling": {"steps": steps}}))


@pytest.mark.slow
def test_a_plan_may_have_knobs_of_any_name(workbench_home):
    class Own(PlannedSampling):
        name = "Own"
        version = "1"

        class Knobs(Knobs):
            steps: int = knob(3, ge=1, le=9, help="Steps in full, not the length of the run.")
            mode: bool = knob(True, help="Whether the rest goes shallow.")
            key_steps: int = knob(1, ge=1, le=9, help="Nothing.")
            custom_steps: tuple[int, ...] = knob((0,), help="Nothing.")

        def plan(self, steps):
            from workbench.diffusion.plan import Plan

            return Plan.from_full_steps(range(self.knobs.steps), steps, "shallow")

    view = DiffusionView([Own], tiny.pipeline())
    values = settings_of(view, 8)
    assert view._scene(values).plans["Own()"].steps == 8
    assert view.hints(values).strips == {}
    *_, last = view.run(values, silent)
    (row,) = [row for row in rows(last) if row["key"] == "Own()"]
    assert row["label"] == "steps 3, mode True, key steps 1, custom steps [0]"
    method = chosen(view.methods, values)[1]
    point = view.measured[view._context(values)][method.code()]
    assert setting_words(point, {}, 8) == ""
