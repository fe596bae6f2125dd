"""The automatic plan: an exact search, fronts by hand, and a search that stops and goes on."""

import itertools
import json

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.diffusion.automatic import (
    AutomaticPlan,
    choosing,
    room,
    surveying,
    trials,
)
from workbench.diffusion.automatic.judging import (
    Front,
    difference,
    fewer_steps,
    hand_made,
    hypervolume,
    share,
)
from workbench.diffusion.automatic.reuse import Reuse, candidates, kits
from workbench.diffusion.automatic.search import FULL, Choices, _programmed, best, neighbours
from workbench.diffusion.automatic.survey import Survey
from workbench.diffusion.costs import unit_costs
from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import DDIM, PNDM
from workbench.measure.intervals import bootstrap
from workbench.study import Cancelled, MethodError

COSTS = (12.0, 6.0, 3.0)


def random_survey(seed, steps=6, kinds=2):
    draw = np.random.default_rng(seed)
    ages = (1, 2, 4)
    damage = np.cumsum(draw.random((kinds, steps, len(ages))), axis=2)
    damage[:, 0] = np.nan
    return Survey(
        steps=steps,
        reuses=(Reuse("decode"), Reuse("shallow", 1))[:kinds],
        ages=ages,
        damage=damage,
        gain=draw.random(steps),
        seconds=COSTS,
        macs=COSTS,
        moved={"mid": 0.1},
        drift={"mid": [None, *draw.random(steps - 1)]},
        seeds=(1, 2),
        device="none",
        date="2026-01-01",
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0]))
def test_the_search_finds_the_best_of_all_plans(seed, budget):
    """Costs are whole levels here, so rounding up loses nothing."""
    survey = random_survey(seed)
    errors = survey.errors()
    every = [Choices((FULL, *rest)) for rest in itertools.product(range(3), repeat=5)]
    fit = [choices for choices in every if choices.share(COSTS) <= budget + 1e-9]
    found = _programmed(errors, COSTS, (0, 1), survey.steps, budget)
    if not fit:
        assert found is None
        return
    assert found is not None and found.share(COSTS) <= budget + 1e-9
    assert found.error(errors) == pytest.approx(min(c.error(errors) for c in fit))
    ((first, expected), *_) = best(survey, COSTS, budget)
    assert expected == pytest.approx(found.error(errors)) and first.share(COSTS) <= budget + 1e-9


def test_errors_are_damage_times_gain_between_what_was_measured():
    survey = random_survey(3)
    errors = survey.errors()
    assert errors[0, 4, 2] == pytest.approx(survey.gain[4] * survey.damage[0, 4, 1])
    between = (survey.damage[0, 4, 1] + survey.damage[0, 4, 2]) / 2
    assert errors[0, 4, 3] == pytest.approx(survey.gain[4] * between)
    slope = (survey.damage[1, 5, 2] - survey.damage[1, 5, 1]) / 2
    assert errors[1, 5, 5] == pytest.approx(survey.gain[5] * (survey.damage[1, 5, 2] + slope))
    assert np.isinf(errors[0, 2, 3]) and np.isinf(errors[0, 0]).all()


def test_a_survey_comes_back_from_its_file():
    survey = random_survey(5)
    again = Survey.of_record(json.loads(json.dumps(survey.record())))
    np.testing.assert_allclose(again.damage, survey.damage, rtol=1e-5)
    assert again.reuses == survey.reuses and again.seconds == survey.seconds
    assert again.drift == survey.drift


def test_choices_become_a_plan():
    reuses = (Reuse("decode"), Reuse("shallow", 2), Reuse("inherit", inherited=("mid",)))
    plan = Choices((0, 1, 2, 0, 3)).plan(reuses)
    assert plan.actions == ("full", "decode", "shallow", "full", "inherit")
    assert (plan.branch, plan.inherited) == (2, ("mid",))
    assert len(kits(reuses)) == 4  # decoding with and without each of the others


def test_neighbours_cost_the_same():
    at = Choices((0, 1, 2, 0, 1, 2, 2, 1))
    near = neighbours(at, np.random.default_rng(0), 6)
    assert len(near) == len(set(near)) == 6 and at not in near
    for choices in near:
        assert choices.share(COSTS) == at.share(COSTS) and choices.steps[0] == FULL


@pytest.mark.slow
def test_candidates_save_and_are_the_stillest_first(tiny):
    costs = unit_costs(tiny.shape)
    layers = [node.name for node in costs.nodes if node.units]
    moved = dict.fromkeys(layers, 1.0) | {"up.0.layer.1": 0.01}
    found = candidates(costs, moved)
    assert found[0] == Reuse("decode")
    shares = [reuse.cost(costs).macs / costs.full.macs for reuse in found]
    assert max(shares) <= 0.95 and len(set(shares)) == len(shares)
    sets = [set(reuse.inherited) for reuse in found if reuse.action == "inherit"]
    assert all("up.0.layer.1" in names for names in sets)
    assert all(a <= b for a, b in itertools.pairwise(sets))


def test_hypervolume_by_hand():
    assert hypervolume(np.array([0.5]), np.array([0.8])) == pytest.approx(0.4)
    saved, quality = np.array([0.2, 0.5, 0.4]), np.array([1.0, 0.6, 0.5])
    assert hypervolume(saved, quality) == pytest.approx(0.2 * 1.0 + 0.3 * 0.6)
    assert hypervolume(np.array([-0.1]), np.array([1.0])) == 0


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8))
def test_hypervolume_is_the_share_of_dominated_points(points):
    saved, quality = (np.array(side) for side in zip(*points, strict=True))
    grid = (np.arange(200) + 0.5) / 200
    x, y = np.meshgrid(grid, grid)
    under = ((saved[:, None, None] > x) & (quality[:, None, None] > y)).any(axis=0)
    assert hypervolume(saved, quality) == pytest.approx(under.mean(), abs=0.02)


def test_a_difference_is_paired_by_seed():
    draw = np.random.default_rng(0)
    hard = draw.random(40)  # what both find hard
    saved = np.array([0.3, 0.6])
    first = Front(("a", "b"), saved, 0.5 + 0.4 * hard + np.zeros((2, 1)))
    second = Front(("c", "d"), saved, first.quality - 0.01)
    gap = difference(first, second, draws=400)
    assert gap.value == pytest.approx(0.6 * 0.01) and gap.above(0)
    assert gap.high - gap.low < 1e-9 and gap.count == 40
    same = difference(first, first, draws=100)
    assert (same.low, same.value, same.high) == (0, 0, 0) and not same.above(0)


def test_bootstrap_of_a_mean_is_near_students():
    values = np.random.default_rng(1).normal(size=200)
    found = bootstrap(lambda places: float(values[places].mean()), 200)
    half = 1.97 * values.std(ddof=1) / np.sqrt(200)
    assert found.value == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)
    assert not bootstrap(lambda places: 0.0, 2).known


@pytest.mark.parametrize("steps", [10, 20, 50])
def test_hand_made_lists_are_plans_of_the_run(steps):
    found = hand_made(steps)
    assert all(plan.steps == steps and not plan.is_full for plan in found.values())
    assert len(found) >= 30 if steps == 50 else len(found) >= 20
    survey = random_survey(0)
    assert share(Plan.full(6), survey, COSTS) == 1
    assert share(Plan(("full", "decode", "shallow"), branch=1), survey, COSTS) == 21 / 36
    assert share(Plan(("full", "shallow"), branch=0), survey, COSTS) is None


@pytest.mark.parametrize("steps", range(2, 10))
def test_hand_made_lists_are_there_for_short_runs(steps):
    found = hand_made(steps)
    assert found and all(plan.steps == steps for plan in found.values())


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    return tmp_path / "automatic-plans"


@pytest.fixture
def quickly_compiled():
    """Programs here are many and small; what they compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


METHOD = AutomaticPlan(cost="operations", tries=2, tolerance=1.0)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("quickly_compiled")
def test_a_search_stops_goes_on_and_is_done_once(tiny, kept, monkeypatch):
    subject = tiny.with_sampling(steps=8)
    seen = []

    def stopping(done, total, note="", preview=None):
        seen.append(note)
        if note.startswith("trying plans") and sum(n.startswith("trying") for n in seen) == 3:
            raise Cancelled

    assert METHOD.predict(subject).macs == pytest.approx(0.5 * 2 * 8 * unit_macs(tiny))
    with pytest.raises(Cancelled):
        METHOD.prepare(subject, report=stopping)
    (file,) = kept.glob("*.json")
    before = json.loads(file.read_text(encoding="utf-8"))
    assert before["survey"] and len(before["errors"]) == 2 and not before["choices"]
    again = []
    planned = METHOD.prepare(subject, report=lambda *given: again.append(given[2]))
    assert not any(note.startswith("measuring") for note in again)
    choice = METHOD.choice(subject)
    assert choice["share"] <= 0.5 and choice["error"] == min(choice["error"], *errors_of(kept))
    monkeypatch.setattr(trials, "sample", None)  # nothing is sampled again
    assert METHOD.prepare(subject).plan == planned.plan
    if choice["plan"] is not None:
        assert planned.plan == Plan.of_record(choice["plan"])
        pieces = unit_costs(tiny.shape)
        assert METHOD.predict(subject).macs == pytest.approx(2 * pieces.run(planned.plan).macs)


def unit_macs(pipeline):
    return unit_costs(pipeline.shape).full.macs


def errors_of(kept):
    (file,) = kept.glob("*.json")
    errors = json.loads(file.read_text(encoding="utf-8"))["errors"]
    inside = [v for name, v in errors.items() if "decode" in name or "shallow" in name]
    return [*inside, 1e9]


def test_a_shorter_run_has_a_number_of_steps_that_the_sampler_makes():
    assert [fewer_steps(DDIM(), 10, share) for share in (0.05, 0.2, 0.35, 1.0)] == [1, 2, 3, 9]
    assert [fewer_steps(PNDM(), 10, share) for share in (0.05, 0.2, 0.35, 1.0)] == [1, 1, 3, 9]


def test_pictures_are_measured_together_as_far_as_memory_goes(monkeypatch):
    monkeypatch.setattr(room, "available_bytes", lambda: 800)
    assert [room.at_once(8, each) for each in (50, 51, 101, 1000)] == [8, 4, 2, 1]
    assert room.groups((1, 2, 3, 4), 200) == [(1, 2), (3, 4)]
    monkeypatch.setattr(room, "available_bytes", lambda: None)
    assert room.at_once(8, 1e30) == 8


@pytest.mark.slow
@pytest.mark.long
def test_a_survey_in_groups_is_the_mean_of_theirs(tiny, monkeypatch):
    subject = tiny.with_sampling(steps=3)
    few = (Reuse("decode"), Reuse("shallow", 0))  # each compiles
    monkeypatch.setattr(surveying, "candidates", lambda *given: few)
    monkeypatch.setattr(surveying, "seconds", lambda *given: (1.0,))
    alone = [surveying.survey(subject, (seed,)) for seed in (5, 6)]
    monkeypatch.setattr(room, "available_bytes", lambda: 1)
    shares = []
    found = surveying.survey(subject, (5, 6), lambda done, total, *_: shares.append(done / total))
    wanted = np.mean([one.damage for one in alone], axis=0)
    np.testing.assert_allclose(found.damage, wanted, rtol=1e-4)
    for name, value in found.moved.items():
        assert value == pytest.approx(np.mean([one.moved[name] for one in alone]), rel=1e-4)
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1


def test_one_step_is_left_as_it_is(tiny, kept):
    one = tiny.with_sampling(steps=1)
    assert METHOD.prepare(one).plan == Plan.full(1)
    choice = METHOD.choice(one)
    assert choice["plan"] is None and choice["reason"].startswith("One step has no step before")
    assert "precision" in choice["advice"] and "fewer steps" not in choice["advice"]
    ((problem),) = METHOD.check(one)
    assert problem.level == "warn" and problem.message.startswith("None is worth it.")


def test_plans_do_not_stack(tiny, kept):
    planned = tiny.with_plan(Plan.from_full_steps((0, 5), 10, "decode"))
    with pytest.raises(MethodError, match="plans of one run do not stack"):
        METHOD.prepare(planned)


def test_settings_name_their_choice():
    assert AutomaticPlan().key == "budget=0.5, tolerance=0.2, cost=seconds, tries=12"
    assert AutomaticPlan(goal="quality").key == "tolerance=0.2, cost=seconds, tries=12"
    assert eval(METHOD.code()) == METHOD


class Counted:
    """Trials of a model whose every reusing step costs a hundredth; shorter runs cost `fewer`."""

    def __init__(self, fewer=1.0):
        self.fewer, self.plans = fewer, []

    def error(self, plan):
        self.plans.append(plan)
        return self.fewer if plan.is_full else 0.01 * (plan.steps - len(plan.full_steps))


def test_a_search_keeps_the_best_it_measured():
    survey, counted = random_survey(1), Counted()
    found = trials.within_budget(survey, COSTS, counted, 0.6, 5)
    assert found.share <= 0.6 and found.tried == len(counted.plans) <= trials.STARTS + 5
    assert found.error == min(Counted().error(plan) for plan in counted.plans)
    assert trials.within_budget(survey, COSTS, counted, 0.2, 5) is None


@pytest.mark.parametrize(("tolerance", "reused"), [(0.05, 5), (0.021, 2), (0.011, 1)])
def test_the_cheapest_plan_within_a_tolerance(tolerance, reused):
    survey = random_survey(1)
    found = trials.within_tolerance(survey, COSTS, Counted(), tolerance, 8)
    assert found.error == pytest.approx(0.01 * reused)
    assert found.share <= min(b for b in trials.BUDGETS if b >= 1 - reused * 9 / 72)
    assert trials.within_tolerance(survey, COSTS, Counted(), 0.005, 8) is None


@pytest.mark.parametrize(
    ("fewer", "tolerance", "says"),
    [
        (1.0, 0.2, "full steps, as long, by 100 %"),
        (0.001, 0.2, "full steps take as long and change it by 0.1 %"),
        (1.0, 0.01, "more than the 1 % allowed"),
    ],
)
def test_none_is_worth_it_where_less_is_as_good(tiny, fewer, tolerance, says):
    survey, counted = random_survey(1), Counted(fewer)
    subject = tiny.with_sampling(steps=6)
    found = trials.within_budget(survey, COSTS, counted, 0.6, 2)
    choice = choosing._judged(subject, survey, counted, found, tolerance)
    assert says in choice["reason"]
    worth = fewer == 1.0 and tolerance == 0.2
    assert (choice["plan"] is not None) == worth
    assert ("fewer steps" in choice["advice"]) == (not worth)
    assert json.loads(json.dumps(choice)) == choice
