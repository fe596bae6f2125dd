"""Class tokens: what they hold, and what they refuse."""

import json

import jax
import numpy as np
import pytest

from workbench.checkpoints import CheckpointError
from workbench.diffusion.conditioning import ClassTokens


@pytest.fixture
def tokens() -> ClassTokens:
    return ClassTokens.create(5, 3, 8, jax.random.key(0))


def test_sizes_and_rows(tokens: ClassTokens) -> None:
    assert (tokens.classes, tokens.length, tokens.width) == (5, 3, 8)
    labels = np.array([4, 0, 4], np.int32)
    np.testing.assert_array_equal(tokens(labels), np.asarray(tokens.table)[[4, 0, 4]])
    np.testing.assert_array_equal(tokens.blank, np.asarray(tokens.table)[5])


@pytest.mark.parametrize("label", [-1, 5])
def test_blank_and_beyond_are_no_classes(tokens: ClassTokens, label: int) -> None:
    with pytest.raises(ValueError, match=rf"labels: {label} is not a class; these are 0 to 4"):
        tokens(np.array([0, label], np.int32))


def test_saved_and_read_back(tokens: ClassTokens, tmp_path) -> None:
    tokens.save(tmp_path)
    again = ClassTokens.load(tmp_path)
    np.testing.assert_array_equal(again.table, tokens.table)


def test_broken_folders_are_named(tokens: ClassTokens, tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read"):
        ClassTokens.load(tmp_path)
    tokens.save(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**fields, "classes": 9}))
    with pytest.raises(CheckpointError, match="wrong shape"):
        ClassTokens.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="classes, tokens and width"):
        ClassTokens.load(tmp_path)


def test_weights_that_are_not_numbers_are_refused(tokens: ClassTokens, tmp_path) -> None:
    ClassTokens(tokens.table.at[1, 2, 3].set(np.nan)).save(tmp_path)
    with pytest.raises(CheckpointError, match="not all numbers"):
        ClassTokens.load(tmp_path)
