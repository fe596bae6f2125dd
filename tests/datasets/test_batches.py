"""Every item once an epoch; the same batch at a step whatever came before."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.datasets import DatasetError, Images, Text, batch_at, batch_indices, batches

COUNT, SIZE = st.integers(1, 60), st.integers(1, 80)
SEED = st.integers(0, 2**64 - 1)


def _images(count: int) -> Images:
    pixels = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    return Images(
        pixels, np.arange(count, dtype=np.int32), np.array([str(i) for i in range(count)])
    )


@settings(max_examples=100, deadline=None)
@given(COUNT, SIZE, SEED)
def test_every_item_comes_once_an_epoch(count: int, size: int, seed: int) -> None:
    epochs = 3
    steps = -(-count * epochs // size)
    stream = np.concatenate([batch_indices(count, size, seed, step) for step in range(steps)])
    for epoch in range(epochs):
        assert sorted(stream[epoch * count : (epoch + 1) * count]) == list(range(count))


@settings(max_examples=60, deadline=None)
@given(COUNT, SIZE, SEED, st.integers(0, 40))
def test_a_start_at_any_step_gives_the_same_batches(
    count: int, size: int, seed: int, start: int
) -> None:
    images = _images(count)
    straight = list(itertools.islice(batches(images, size, seed=seed), start, start + 3))
    resumed = list(batches(images, size, seed=seed, start=start, stop=start + 3))
    for one, other in zip(straight, resumed, strict=True):
        assert one.step == other.step
        np.testing.assert_array_equal(one.index, other.index)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.labels, other.index)


def test_epochs_and_seeds_differ() -> None:
    orders = {
        tuple(batch_indices(50, 50, seed, step).tolist()) for seed in range(4) for step in range(4)
    }
    assert len(orders) == 16


def test_the_order_is_the_same_for_ever() -> None:
    # A change here would break the resumption of every training run there is.
    assert batch_indices(10, 10, 7, 0).tolist() == [8, 4, 1, 6, 3, 2, 7, 5, 9, 0]
    assert batch_indices(10, 10, 7, 1).tolist() == [3, 9, 1, 6, 2, 5, 4, 8, 0, 7]


def test_text_comes_in_windows() -> None:
    text = Text(np.arange(100, dtype=np.uint8), np.zeros(1, np.int64), np.array(["t"]))
    batch = batch_at(text, 4, 0, 0, window=10)
    assert batch.values.shape == (4, 10) and batch.labels.shape == (4,)
    assert all(row.tolist() == list(range(row[0], row[0] + 10)) for row in batch.values)
    with pytest.raises(DatasetError, match=r"length=101 must lie in 1\.\.100"):
        batch_at(text, 4, 0, 0, window=101)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 0, 0), "no items"),
        ((5, 0, 0, 0), "batch_size=0"),
        ((5, 1, -1, 0), "seed=-1"),
        ((5, 1, 2**64, 0), "seed="),
        ((5, 1, 0, -1), "step=-1"),
    ],
)
def test_values_out_of_range(arguments: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        batch_indices(*arguments)
