"""Plans: what they refuse, and that their batches run every step once and in order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.diffusion.plan import ACTIONS, Plan, PlanError, split_run

STEP_0 = "Step 0 must run in full: there is nothing to reuse yet"

actions = st.lists(st.sampled_from(ACTIONS), max_size=60)


@settings(deadline=None)
@given(actions, st.integers(1, 20))
def test_batches_run_every_step_once_and_in_order(later, largest):
    plan = Plan(("full", *later), largest_group=largest, inherited=("mid",))
    batches = plan.batches
    assert [step for run in batches for step in run] == list(range(plan.steps))
    for run in batches:
        assert len(run) & (len(run) - 1) == 0 and len(run) <= largest
        assert all(plan.actions[step] == "decode" for step in run[1:])
        if plan.actions[run[0]] in ("shallow", "inherit"):
            assert len(run) == 1
        if plan.actions[run[0]] == "full" and len(run) > 1:
            assert plan.reused_from(run[0]) == {"decode"}


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(1, 40), st.integers(0, 1000))
def test_a_run_is_split_into_powers_of_two_that_cover_it(length, largest, start):
    span = tuple(range(start, start + length))
    parts = split_run(span, largest)
    assert tuple(step for part in parts for step in part) == span
    sizes = [len(part) for part in parts]
    assert all(size & (size - 1) == 0 and size <= largest for size in sizes)
    assert sizes == sorted(sizes, reverse=True)
    # No fewer parts are possible: only the largest size may come more than once.
    assert len(set(sizes)) + sizes.count(max(sizes, default=0)) - bool(sizes) == len(sizes)


def test_fifteen_steps_become_8_4_2_1():
    assert [len(part) for part in split_run(tuple(range(15)), 8)] == [8, 4, 2, 1]
    assert [len(part) for part in split_run(tuple(range(15)), 6)] == [4, 4, 4, 2, 1]


def test_after_says_what_follows_a_run():
    plan = Plan(("full", "decode", "decode", "full"), largest_group=4)
    assert plan.batches == ((0, 1), (2,), (3,))
    assert [plan.after(run) for run in plan.batches] == ["decode", "full", None]
    assert plan.full_steps == (0, 3) and not plan.is_full


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Plan(("decode", "full")), STEP_0),
        (lambda: Plan.from_full_steps((1, 2), 5, "decode"), STEP_0),
        (lambda: Plan.from_full_steps((), 5, "shallow"), STEP_0),
        (
            lambda: Plan.from_full_steps((0, 50), 50, "decode"),
            "Step 50 is outside this run of 50 steps (0–49)",
        ),
        (lambda: Plan.from_full_steps((0, -1), 50, "decode"), "Step -1 is outside this run"),
        (lambda: Plan.from_full_steps((0, 3, 3), 50, "decode"), "A step is listed twice in"),
        (lambda: Plan.full(0), "A plan needs at least one step"),
        (lambda: Plan.full(-3), "A plan needs at least one step"),
        (
            lambda: Plan(("full", "skip")),
            "A step is full, decode, shallow or inherit. You gave 'skip'",
        ),
        (
            lambda: Plan(("full", "inherit")),
            "Steps that inherit need the names of what they inherit",
        ),
        (
            lambda: Plan(("full", "inherit"), inherited=("mid", "mid")),
            "A name is listed twice in ('mid', 'mid')",
        ),
        (lambda: Plan(("full",), largest_group=0), "Largest group must be at least 1. You gave 0"),
        (lambda: Plan(("full",), branch=-1), "Branch must be at least 0. You gave -1"),
    ],
)
def test_a_plan_that_cannot_run_says_why(make, message):
    with pytest.raises(PlanError) as caught:
        make()
    assert message in str(caught.value)
