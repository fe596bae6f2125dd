"""Typeset pages: letters stand where they are said to, and no passage is on both sides."""

import numpy as np
import pytest

from workbench.datasets import DatasetError, english, typeset, typeset_pages
from workbench.datasets.typeset import SIZES


def test_ink_lies_in_the_boxes_alone() -> None:
    pixels, glyphs = typeset("The quick brown fox (jumps) again", 64, 120, 14)
    assert glyphs.characters.startswith("Thequickbrown")
    dark = pixels.min(axis=-1) < 240
    covered = np.zeros(dark.shape, bool)
    for top, left, bottom, right in glyphs.boxes:
        assert dark[top:bottom, left:right].any()
        covered[top:bottom, left:right] = True
    assert not (dark & ~covered)[:, :118].any()


def test_lines_are_broken_and_words_too_wide_cut() -> None:
    _, glyphs = typeset("i" * 200, 64, 64, 11)
    rows = np.unique(glyphs.boxes[:, 0])
    assert len(rows) == 4
    assert glyphs.boxes[:, 3].max() <= 64


def test_other_characters_are_left_out() -> None:
    _, glyphs = typeset("naïve café", 40, 90, 14)
    assert glyphs.characters == "navecaf"


@pytest.mark.slow
def test_pages_are_split_by_text_and_drawn_again_the_same() -> None:
    made = typeset_pages(8, test_count=4, side=64)
    pages = made.pages
    assert pages.train.images.shape == (8, 64, 64, 3)
    assert len(made.test_glyphs) == len(pages.test) == 4
    assert pages.train.labels.tolist() == [0, 1, 2, 3] * 2
    assert pages.label_names == tuple(f"{size} pixels" for size in SIZES)
    held_out = set(english().test.source.tolist())
    assert set(pages.test.source.tolist()) <= held_out
    assert not set(pages.train.source.tolist()) & held_out
    assert pages.fingerprint == typeset_pages(8, test_count=4, side=64).pages.fingerprint
    assert pages.fingerprint != typeset_pages(8, test_count=4, side=64, seed=1).pages.fingerprint


def test_pages_refuse() -> None:
    with pytest.raises(DatasetError, match="a page of 20×64 is too small for font_size=18"):
        typeset("a", 64, 20, 18)
    with pytest.raises(DatasetError, match="count=0"):
        typeset_pages(0)
