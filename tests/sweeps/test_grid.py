"""Grids: every combination once, in order; groups part the points; what is wrong is named."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.runs import digest
from workbench.sweeps import points
from workbench.sweeps.grid import grouped

SCALARS = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
AXES = st.dictionaries(
    st.text(min_size=1), st.lists(SCALARS, min_size=1, max_size=4, unique_by=digest), max_size=4
).filter(bool)


@settings(deadline=None, max_examples=40)
@given(AXES)
def test_a_product_has_every_combination_once(axes: dict[str, list[Any]]) -> None:
    found = points(axes)
    assert len(found) == math.prod(len(values) for values in axes.values())
    assert len({digest(one) for one in found}) == len(found)
    for one in found:
        assert list(one) == list(axes)
        assert all(digest(one[name]) in map(digest, axes[name]) for name in axes)
    last = list(axes)[-1]
    assert [one[last] for one in found[: len(axes[last])]] == axes[last]


@settings(deadline=None, max_examples=40)
@given(AXES)
def test_points_given_one_by_one_are_the_same(axes: dict[str, list[Any]]) -> None:
    found = points(axes)
    assert points(found) == found == points(tuple(found))


@settings(deadline=None, max_examples=40)
@given(AXES, st.data())
def test_groups_part_the_points(axes: dict[str, list[Any]], data: Any) -> None:
    found = points(axes)
    together = data.draw(st.lists(st.sampled_from(list(axes)), unique=True))
    groups = grouped(found, together)
    assert sorted(map(digest, found)) == sorted(digest(one) for group in groups for one in group)
    size = math.prod(len(axes[name]) for name in together)
    assert {len(group) for group in groups} == {size}
    for group in groups:
        same = {
            digest({k: v for k, v in one.items() if k not in together}) for one in group
        }  # fmt: skip
        assert len(same) == 1


def test_what_an_axis_may_be() -> None:
    axes = {"rate": np.geomspace(1e-3, 1e-1, 3), "seed": range(2), "width": (64,), "name": "ab"}
    found = points(axes)
    assert len(found) == 6 and found[-1]["seed"] == 1 and found[0]["name"] == "ab"
    assert {type(one["rate"]) for one in found} == {float}
    assert points({"model": {"width": np.int64(3), "shape": (1, 2)}}) == [
        {"model": {"width": 3, "shape": [1, 2]}}
    ]
    table = pd.DataFrame({"width": [1, 2], "rate": [0.1, 0.2]})
    assert points(table) == [{"width": 1, "rate": 0.1}, {"width": 2, "rate": 0.2}]


@pytest.mark.parametrize(
    ("grid", "error", "words"),
    [
        ({}, ValueError, "grid: has no points"),
        ([], ValueError, "grid: has no points"),
        ("rates", TypeError, "grid is a str"),
        ([{}], ValueError, r"grid\[0\]: has no settings"),
        ([{"a": 1}, 3], TypeError, r"grid\[1\] is a int"),
        ({"a": []}, ValueError, "a: has no values"),
        ({"a": [1, 1.0]}, ValueError, "a: has 1.0 twice"),
        ([{"a": 1}, {"a": 2}, {"a": 1}], ValueError, "points 0 and 2 are the same"),
        ({3: [1]}, TypeError, "grid: 3 is no name of a setting"),
        ({"": [1]}, TypeError, "is no name of a setting"),
        ({"a": [math.nan]}, ValueError, r"a\[0\] is nan; give a finite number"),
        ({"a": [object()]}, TypeError, r"a\[0\] is a object; settings are plain values"),
        ({"a": {1, 2}}, TypeError, "a is a set"),
        ({"a": range(1000), "b": range(1000)}, ValueError, "1000000 points"),
    ],
)
def test_what_is_wrong_is_named(grid: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        points(grid)


def test_a_setting_to_be_done_together_must_be_there() -> None:
    with pytest.raises(ValueError, match="together: 'seed' is no setting of point 1"):
        grouped([{"a": 1, "seed": 0}, {"a": 2}], ["seed"])
