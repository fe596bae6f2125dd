"""Batches as a pure function of seed and step, so that training resumes exactly.

The stream of items is epoch after epoch, each a fresh permutation keyed by (seed, epoch). Batch
`step` is items `step * batch_size` onwards of that stream: every item comes once per epoch, every
batch has the same shape, and a batch may span two epochs.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from workbench.datasets.dataset import DatasetError, Images, Text, require_whole


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch.

    Attributes:
        step: its number in the stream.
        index: int64 [B], which items of the split.
        values: uint8 [B, H, W, C] images, or uint8 [B, window] text.
        labels: int32 [B]; zeros for text.
    """

    step: int
    index: Int64[np.ndarray, " B"]
    values: UInt8[np.ndarray, "B ..."]
    labels: Int32[np.ndarray, " B"]


def batch_indices(count: int, batch_size: int, seed: int, step: int) -> Int64[np.ndarray, " B"]:
    """Which items batch `step` holds: int64 [batch_size].

    Args:
        count: items in the split.
        seed: any integer from 0 below 2**64.
        step: from 0.

    Raises:
        DatasetError: no items, or a size, seed or step out of range.
    """
    if count < 1:
        raise DatasetError("there are no items to make batches of")
    require_whole(batch_size=batch_size)
    require_whole(0, seed=seed, step=step)
    if seed >= 2**64:
        raise DatasetError(f"seed={seed} must be below 2**64")
    first, last = step * batch_size, (step + 1) * batch_size
    pieces = []
    for epoch in range(first // count, (last - 1) // count + 1):
        start = epoch * count
        pieces.append(_permutation(count, seed, epoch)[max(first - start, 0) : last - start])
    return np.concatenate(pieces)


def batch_at(
    split: Images | Text, batch_size: int, seed: int, step: int, *, window: int = 256
) -> Batch:
    """Batch number `step`.

    Args:
        split: `dataset.train` or `dataset.test`.
        window: bytes per item, for text.
    """
    values = split.images if isinstance(split, Images) else split.windows(window)
    index = batch_indices(len(values), batch_size, seed, step)
    labels = split.labels[index] if isinstance(split, Images) else np.zeros(len(index), np.int32)
    return Batch(step, index, values[index], labels)


def batches(
    split: Images | Text,
    batch_size: int,
    *,
    seed: int,
    start: int = 0,
    stop: int | None = None,
    window: int = 256,
) -> Iterator[Batch]:
    """Batches `start` up to `stop` (None: without end); starting anywhere gives the same ones."""
    step = start
    while stop is None or step < stop:
        yield batch_at(split, batch_size, seed, step, window=window)
        step += 1


@functools.lru_cache(maxsize=4)
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    # Raw Philox output is frozen by numpy for ever; Generator.permutation is not.
    raw = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(count)
    order = np.argsort(raw, kind="stable")
    order.setflags(write=False)
    return order
