"""Labels stand clear of marks and of each other."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workbench.figures.placement import Box, Label, place, spread
from workbench.figures.text import two_lines


@given(st.lists(st.floats(min_value=0, max_value=190), min_size=1, max_size=8))
def test_spread_leaves_the_gap_and_keeps_the_order(places):
    moved = spread(places, 14, 196)
    assert max(moved) <= 196 + 1e-6
    order = sorted(range(len(places)), key=lambda index: places[index])
    assert all(moved[two] - moved[one] >= 13.9 for one, two in pairwise(order))


def test_spread_moves_nothing_that_is_apart():
    assert spread([100, 20, 60]) == [100, 20, 60]


def test_label_avoids_the_mark_beside_it():
    anchor = (100.0, 50.0, {"x": 1, "y": 1})
    label = Label("name", "series", [anchor])
    free = next(iter(place([label], (300, 100), [], [])))
    blocked = next(iter(place([label], (300, 100), [Box(105, 40, 160, 60)], [])))
    assert (free["align"], free["dy"]) == ("left", 0)
    assert (blocked["align"], blocked["dy"]) != (free["align"], free["dy"])


def test_label_without_room_is_dropped_unless_required():
    anchor = (100.0, 50.0, {"x": 1, "y": 1})
    wall = [Box(0, 0, 300, 100)]
    assert not list(place([Label("25", "point", [anchor], required=False)], (300, 100), wall, []))
    assert list(place([Label("A", "pin", [anchor])], (300, 100), wall, []))


def test_label_crosses_a_thin_line_but_not_a_solid_one():
    anchor = (100.0, 50.0, {"x": 1, "y": 1})
    label = Label("25 steps", "point", [anchor], ways=("right",), required=False)
    line = (102.0, 50.0, 160.0, 50.0)
    assert list(place([label], (300, 100), [], [], [line]))
    assert not list(place([label], (300, 100), [], [line]))


def test_two_lines_breaks_at_the_best_space():
    assert two_lines("Feature inheritance") == ["Feature", "inheritance"]
    assert two_lines("Full") == ["Full"]
