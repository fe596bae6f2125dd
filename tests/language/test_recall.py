"""The recall task against its definition, row by row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from workbench.language.recall import CLASSIC, MQAR
from workbench.language.token_data import IGNORED


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 30), st.booleans(), st.integers(20, 90))
def test_each_key_is_asked_once_for_the_value_it_came_with(pairs, more, between, vocab):
    task = MQAR(
        length=4 * pairs + more, pairs=pairs, vocab=vocab, random_between=between,
        train_examples=9, test_examples=4,
    )  # fmt: skip
    rows = task.batch(0, 9, seed=0)
    for tokens, targets in zip(rows.tokens, rows.targets, strict=True):
        keys, values = tokens[0 : 2 * pairs : 2], tokens[1 : 2 * pairs : 2]
        assert len(set(keys)) == len(set(values)) == pairs
        assert keys.min() >= 1 and keys.max() < vocab // 2 <= values.min() and values.max() < vocab
        (asked,) = np.nonzero(targets != IGNORED)
        assert len(asked) == pairs and asked.min() >= 2 * pairs and not (asked % 2).any()
        value_of = dict(zip(keys, values, strict=True))
        assert all(value_of[tokens[place]] == targets[place] for place in asked)
        if not between:
            rest = np.setdiff1d(np.arange(2 * pairs, task.length), asked)
            assert not tokens[rest].any()


def test_gaps_are_drawn_as_their_chances_say():
    """The first of the gaps drawn without replacement has the chances themselves."""
    task = MQAR(length=20, pairs=2, power=0.5, train_examples=4000)
    rows = task.batch(0, 4000, 0)
    first = (rows.tokens == rows.tokens[:, :1]) & (rows.targets != IGNORED)
    gap = (np.argmax(first, axis=1) - 4) // 2
    chances = np.arange(1, 9) ** -0.5
    chances /= chances.sum()
    found = np.bincount(gap, minlength=8) / 4000
    np.testing.assert_allclose(found, chances, atol=4 * np.sqrt(0.25 / 4000))


def test_rows_are_the_same_each_time_and_test_rows_are_others():
    task = MQAR(train_examples=64, test_examples=16)
    again = MQAR(train_examples=64, test_examples=16)
    assert (task.batch(3, 8, 1).tokens == again.batch(3, 8, 1).tokens).all()
    seen = {row.tobytes() for row in task.batch(0, 64, 0).tokens}
    assert len(seen) == 64
    assert not seen & {row.tobytes() for row in task.test_rows().tokens}
    assert task.test_rows(5).tokens.shape == (5, 64)
    other = task.model_copy(update={"data_seed": 1})
    assert other.fingerprint != task.fingerprint
    assert (other.test_rows().tokens != task.test_rows().tokens).any()


def test_the_classic_grid_is_the_published_one():
    assert [(task.length, task.pairs) for task in CLASSIC] == [
        (64, 4),
        (128, 8),
        (256, 16),
        (512, 64),
    ]
    assert {(task.vocab, task.train_examples, task.test_examples) for task in CLASSIC} == {
        (8192, 100_000, 3_000)
    }


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValidationError, match="pairs=17: .* length=64 holds 16"):
        MQAR(length=64, pairs=17)
    with pytest.raises(ValidationError, match="pairs=8: vocab=16 has 7 keys"):
        MQAR(vocab=16, pairs=8)
