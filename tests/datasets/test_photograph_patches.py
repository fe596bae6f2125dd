"""Patches of photographs: their pixels, and a split by place that no pixel crosses."""

import functools
import re

import numpy as np
import pytest

from workbench.datasets import DatasetError, photograph_patches
from workbench.datasets.photograph_patches import GAP, MOST_TEST, MOST_TRAIN, PLAIN
from workbench.datasets.photography import PHOTOGRAPHS, read_packaged

made = functools.cache(photograph_patches)


def places(split, name):
    """Corners of the patches of one photograph."""
    rows = [re.fullmatch(rf"{name}, row (\d+), column (\d+)", s) for s in split.source.tolist()]
    return [(int(row[1]), int(row[2])) for row in rows if row]


@pytest.mark.parametrize(("size", "colour"), [(32, True), (48, False)])
def test_no_test_pixel_nor_one_beside_it_is_trained_on(size, colour):
    data = made(size, colour=colour)
    assert len(data.label_names) == (10 if colour else 18)
    for name in data.label_names:
        photograph = next(p for p in PHOTOGRAPHS if p.name == name)
        height, width = read_packaged(photograph.file, "L").shape[:2]
        tested = np.zeros((height + 2 * GAP, width + 2 * GAP), bool)
        for top, left in places(data.test, name):
            assert not tested[top + GAP : top + GAP + size, left + GAP : left + GAP + size].any()
            tested[top + GAP : top + GAP + size, left + GAP : left + GAP + size] = True
        assert tested.any()
        for top, left in places(data.train, name):
            around = tested[top : top + size + 2 * GAP, left : left + size + 2 * GAP]
            assert not around.any(), (name, top, left)


def test_patches_are_pixels_of_the_photograph_their_label_names():
    data = made(32, colour=True)
    for split in (data.train, data.test):
        for at in range(0, len(split), 97):
            name = data.label_names[split.labels[at]]
            ((top, left),) = places_of(split.source[at])
            photograph = next(p for p in PHOTOGRAPHS if p.name == name)
            assert split.source[at].startswith(name)
            pixels = read_packaged(photograph.file, "RGB")[top : top + 32, left : left + 32]
            np.testing.assert_array_equal(split.images[at], pixels)


def places_of(source):
    return [(int(a), int(b)) for a, b in re.findall(r"row (\d+), column (\d+)", source)]


def test_classes_are_bounded_and_nothing_plain_is_asked():
    data = made(32, colour=True)
    for split, most in ((data.train, MOST_TRAIN), (data.test, MOST_TEST)):
        counts = np.bincount(split.labels)
        assert counts.min() > 0 and counts.max() == most
        assert split.images.mean(axis=3).std(axis=(1, 2)).min() >= PLAIN
    assert "motorcycle-right" not in data.label_names


def test_card_preview_and_fingerprint():
    data = made(32, colour=True)
    assert f"{len(data.train)} train, {len(data.test)} test, 32×32×3" in data.card.sizes
    assert 0 < data.card.unique_bytes < data.train.images.size + data.test.images.size
    assert "by place" in data.card.split and "ours" not in data.name
    assert data.preview(20).startswith(b"\x89PNG")
    # Pinned: runs are identified by it. Only a raised version may change it.
    assert data.fingerprint.startswith("5c8b070a1c6af79c")
    assert data.fingerprint != made(32, colour=False).fingerprint


@pytest.mark.parametrize("size", [16, 0, True, 32.0])
def test_other_sizes_are_refused(size):
    with pytest.raises(DatasetError, match="size="):
        photograph_patches(size)
