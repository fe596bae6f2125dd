"""Tables: joining, foreign frames and their errors, and names that look like something else."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.study import TableError, Tables
from workbench.study.tables import ARRAYS, SERIES, Column


def tables(ids, value, curve=()):
    count = len(ids)
    trials = pd.DataFrame({"trial_id": list(ids), "method": "m", "seed": range(count)})
    trials["quality.q"] = float(value)
    series = pd.DataFrame([(i, "c", "x", x, float(value)) for i in curve for x in range(3)],
                          columns=SERIES)  # fmt: skip
    return Tables(trials, series, pd.DataFrame(columns=ARRAYS), {"quality.q": Column("u")})


IDS = st.sets(st.sampled_from("abcdefgh"), min_size=1)


@settings(deadline=None)
@given(IDS, IDS)
def test_the_newer_row_wins_and_nothing_is_lost(old, new):
    found = tables(old, 1, curve=old).join(tables(new, 2, curve=new))
    assert set(found.trials["trial_id"]) == old | new
    value = found.trials.set_index("trial_id")["quality.q"]
    assert all(value[i] == (2 if i in new else 1) for i in old | new)
    curve = found.series.groupby("trial_id")["y"].agg(["count", "first"])
    assert all(curve.loc[i, "count"] == 3 for i in old | new)
    assert all(curve.loc[i, "first"] == (2 if i in new else 1) for i in old | new)


def test_joined_columns_that_one_side_lacks_are_empty_there():
    left, right = tables("a", 1), tables("b", 2)
    right.trials["quality.low"] = math.nan
    found = left.join(right)
    assert found.trials["quality.low"].isna().all() and len(found.trials) == 2
    assert len(tables("", 1).join(left).trials) == 1
    assert len(left.join(tables("", 1)).trials) == 1


@pytest.mark.parametrize(
    ("ids", "method"),
    [
        (["1234567890123456", "1111111111111111"], "NA"),
        (["12345678e1234567", "0000000000000001"], "None"),
        (["nan", "inf"], "123"),
        (["007", "8"], 'Äußerst, "schnell"\n'),
    ],
)
def test_names_come_back_as_written(tmp_path, ids, method):
    made = tables(ids, 1, curve=ids)
    made.trials["method"] = method
    back = Tables.load(made.save(tmp_path / "t"))
    assert list(back.trials["trial_id"]) == ids
    assert back.methods == [method]
    assert len(back.curve(method, "c")) == 6


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["x", "y"]), st.floats(allow_nan=False, allow_infinity=False),
                  st.integers(-5, 5)),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_a_foreign_frame_keeps_its_numbers_and_its_knobs(rows):
    frame = pd.DataFrame(rows, columns=["run", "loss", "depth"])
    made = Tables.from_frame(frame, method="run", quality={"loss": Column("nats", "measured")})
    np.testing.assert_array_equal(made.trials["quality.loss"], frame["loss"])
    np.testing.assert_array_equal(made.trials["knob.depth"], frame["depth"])
    assert made.methods == list(dict.fromkeys(frame["run"]))
    assert made.trials["trial_id"].is_unique
    for method in made.methods:
        assert list(made.rows(method)["seed"]) == list(range(len(made.rows(method))))


def test_two_foreign_tables_join_without_loss():
    first, second = (pd.DataFrame({"loss": [low, low + 1]}) for low in (1.0, 5.0))
    mine, theirs = (Tables.from_frame(f, quality={"loss": Column()}) for f in (first, second))
    assert list(mine.join(theirs).trials["quality.loss"]) == [1, 2, 5, 6]
    again = Tables.from_frame(first.copy(), quality={"loss": Column()})
    assert len(mine.join(again).trials) == 2, "a table read twice is one table"


@given(st.text(min_size=1), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_text_where_a_number_belongs_is_named_with_its_row(text, row):
    frame = pd.DataFrame({"loss": [1.0, 2.0, 3.0, 4.0, 5.0]}, dtype=object, index=[7] * 5)
    frame.iloc[row, 0] = text
    bad = pd.isna(pd.to_numeric(pd.Series([text]), errors="coerce")[0])
    if not bad:
        return
    with pytest.raises(TableError) as caught:
        Tables.from_frame(frame, quality={"loss": Column()})
    assert f"in row {row}; it must be a number" in str(caught.value)
    assert repr(text) in str(caught.value)


def test_what_a_frame_lacks_is_named():
    frame = pd.DataFrame({"loss": [1.0], "run": ["a"]})
    with pytest.raises(TableError, match=r'Column "los" is missing. Found: loss, run. Rename'):
        Tables.from_frame(frame, quality={"los": Column()})
    with pytest.raises(TableError, match='Column "loss" is there twice'):
        Tables.from_frame(pd.concat([frame, frame], axis=1), quality={"loss": Column()})
    frame = pd.DataFrame({"loss": [1.0, 2.0], "run": ["a", None]})
    with pytest.raises(TableError, match='Column "run" is empty in row 1'):
        Tables.from_frame(frame, method="run", quality={"loss": Column()})


def test_files_that_are_no_tables_are_named(tmp_path):
    with pytest.raises(TableError, match="there is no such file"):
        Tables.from_csv(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    with pytest.raises(TableError, match=r"empty\.csv: cannot be read as CSV"):
        Tables.from_csv(tmp_path / "empty.csv")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3,4\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"ragged\.csv: cannot be read as CSV"):
        Tables.from_csv(tmp_path / "ragged.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(TableError, match=r"binary\.csv: cannot be read as CSV"):
        Tables.from_csv(tmp_path / "binary.csv")
    with pytest.raises(TableError, match="holds no trials.csv"):
        Tables.load(tmp_path)


def test_a_table_without_its_keys_is_refused():
    frame = pd.DataFrame({"trial_id": ["a", "a"], "method": "m", "seed": [0, 1]})
    empty = pd.DataFrame(columns=SERIES), pd.DataFrame(columns=ARRAYS)
    with pytest.raises(TableError, match="trial_id must be unique. Repeated: 'a'"):
        Tables(frame, *empty)
    with pytest.raises(TableError, match='Column "seed" is missing. Found: trial_id, method'):
        Tables(frame.drop(columns="seed"), *empty)
