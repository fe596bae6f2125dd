"""Step lists: the published ones to the number, and that every list can be run."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.diffusion import step_lists

# Centre and power of the best centre-dense lists for SD 1.5 by interval, DeepCache table 10.
PUBLISHED_CENTRES = {
    2: (15, 1.5),
    3: (15, 1.3),
    4: (15, 1.4),
    5: (10, 1.5),
    6: (15, 1.3),
    7: (15, 1.4),
    8: (10, 1.4),
}


def test_key_steps_of_faster_diffusion():
    assert step_lists.published("paper", 50) == (0, 1, 2, 3, 5, 10, 15, 25, 35)
    assert step_lists.published("second", 50) == (0, 10, 11, 12, 15, 20, 25, 30, 35, 45)
    assert step_lists.published("late", 50) == (0, 20, 25, 30, 35, 45, 46, 47, 48, 49)
    assert step_lists.published("spread", 50) == (0, 9, 13, 14, 15, 28, 29, 32, 36, 45)


def test_key_steps_of_faster_diffusion_for_deepfloyd():
    tens = (*range(10), 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65)
    assert step_lists.published("75ls", 75) == (*tens, *range(66, 75))
    assert step_lists.published("100ls", 100) == (*tens, 70, 75, 80, 85, *range(86, 100))
    evens = (20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40)
    assert step_lists.published("s2", 50) == (*range(20), *evens, *range(41, 50))


@pytest.mark.parametrize(("name", "steps"), step_lists.DEEPFLOYD_STEPS.items())
def test_lists_for_deepfloyd_belong_to_their_number_of_steps(name, steps):
    with pytest.raises(ValueError, match=f"{name} is for runs of {steps} steps. This run has 60"):
        step_lists.published(name, 60)


def test_groups_of_the_paper_list_have_the_published_lengths():
    keys = (*step_lists.published("paper", 50), 50)
    lengths = [b - a for a, b in pairwise(keys)]
    assert lengths == [1, 1, 1, 2, 5, 5, 10, 10, 15]


@pytest.mark.parametrize(
    ("interval", "centre", "power", "wanted"),
    [
        (5, 10, 1.5, (0, 4, 7, 10, 14, 19, 24, 30, 36, 43)),
        (5, 15, 1.4, (0, 5, 9, 13, 17, 21, 26, 31, 37, 43)),
        (3, 15, 1.3, (0, 3, 6, 8, 11, 13, 15, 17, 20, 23, 26, 29, 32, 35, 39, 42, 46)),
        (8, 10, 1.4, (0, 6, 10, 16, 23, 31, 40)),
    ],
)
def test_centre_dense_equals_the_published_implementation(interval, centre, power, wanted):
    assert step_lists.centre_dense(50, interval, centre, power) == wanted


def test_centre_dense_gives_a_list_for_every_published_pair():
    for interval, (centre, power) in PUBLISHED_CENTRES.items():
        assert len(step_lists.centre_dense(50, interval, centre, power)) == math.ceil(50 / interval)


@settings(deadline=None)
@given(
    st.integers(1, 200),
    st.integers(1, 20),
    st.floats(0, 300, allow_nan=False),
    st.floats(1.02, 3.0, allow_nan=False),
)
def test_centre_dense_rises_from_0_inside_the_run_or_says_why(steps, interval, centre, power):
    try:
        found = step_lists.centre_dense(steps, interval, centre, power)
    except ValueError as error:
        assert "choose a centre inside the run" in str(error)
        return
    assert found[0] == 0 and found[-1] < steps
    assert all(a < b for a, b in pairwise(found))
    assert len(found) == math.ceil(steps / interval)
    assert all(type(step) is int for step in found)


def test_where_no_power_gives_a_list_it_says_so():
    with pytest.raises(ValueError, match="No list of 5 steps around step 5 in a run of 10"):
        step_lists.centre_dense(10, 2, 5, 1.4)


@settings(deadline=None)
@given(st.sampled_from(sorted(step_lists.FASTER_DIFFUSION_50)), st.integers(1, 1000))
def test_stretched_lists_stay_inside_the_run(name, steps):
    found = step_lists.published(name, steps)
    assert found[0] == 0 and found[-1] < steps
    assert list(found) == sorted(set(found))


def test_uniform_and_triangular_lists():
    assert step_lists.uniform(10, 4) == (0, 4, 8)
    assert step_lists.uniform(10, 20) == (0,)
    assert step_lists.triangular(30) == tuple(n * (n + 3) // 2 for n in range(7))


@settings(deadline=None)
@given(st.integers(1, 120), st.integers(1, 20), st.floats(1, 3))
def test_dense_lists_rise_from_0_and_have_the_wanted_length(steps, interval, power):
    front = step_lists.front_dense(steps, interval, power)
    back = step_lists.back_dense(steps, interval, power)
    for found in (front, back):
        assert found[0] == 0 and found[-1] < steps
        assert list(found) == sorted(set(found)) and len(found) == -(-steps // interval)
    assert sum(front) <= sum(step_lists.front_dense(steps, interval, 1)) <= sum(back) + steps


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 30), st.integers(0, 30))
def test_a_window_is_full_at_its_ends(steps, interval, first, last):
    found = step_lists.window(steps, interval, first, last)
    assert set(range(min(first, steps))) <= set(found) >= set(range(max(0, steps - last), steps))
    between = [step for step in found if first <= step < steps - last]
    assert between == list(range(first, max(first, steps - last), interval))
