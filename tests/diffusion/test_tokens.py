"""Texts to tokens: words, marks, padding, and files that are not what they should be."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.diffusion.vocabulary import FIRST, LAST, vocabulary, write_tokenizer
from workbench.checkpoints import CheckpointError
from workbench.diffusion.text.tokens import Tokenizer

WORDS = vocabulary()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.load(write_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def _row(*words: str, length: int = 77, pad: str = LAST) -> np.ndarray:
    ids = [WORDS[word] for word in (FIRST, *words, LAST)]
    return np.array([*ids, *([WORDS[pad]] * (length - len(ids)))])


def test_words_are_lower_case_and_merged_in_order(tokenizer: Tokenizer) -> None:
    rows = tokenizer(["a  Cat\nand THE dog", ""])
    assert rows.shape == (2, 77) and rows.dtype == np.int32
    words = ("a</w>", "cat</w>", "and</w>", "the</w>", "dog</w>")
    np.testing.assert_array_equal(rows[0], _row(*words))
    np.testing.assert_array_equal(rows[1], _row())
    assert tokenizer.largest == len(WORDS) - 1


def test_digits_stand_alone_and_signs_together(tokenizer: Tokenizer) -> None:
    found = tokenizer(["42!? cat's"])[0]
    expected = _row("4</w>", "2</w>", "!", "?</w>", "cat</w>", "'", "s</w>")
    np.testing.assert_array_equal(found, expected)


def test_padding_is_the_files_own(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_tokenizer(tmp_path, pad="!", length=9))
    np.testing.assert_array_equal(tokenizer(["cat"])[0], _row("cat</w>", length=9, pad="!"))
    assert tokenizer.pad == 0


@pytest.mark.parametrize("newer", [False, True])
def test_where_the_two_files_differ_in_padding(tmp_path: Path, newer: bool) -> None:
    file = write_tokenizer(tmp_path, pad="!") / "tokenizer_config.json"
    other = json.loads(file.read_text(encoding="utf-8")) | {"pad_token": LAST}
    other |= {"added_tokens_decoder": {}} if newer else {}
    file.write_text(json.dumps(other), encoding="utf-8")
    assert Tokenizer.load(tmp_path).pad == WORDS[LAST if newer else "!"]


def test_long_texts_end_with_the_mark_and_say_what_is_lost(tokenizer: Tokenizer) -> None:
    text = "cat " * 80
    row = tokenizer([text])[0]
    assert row[0] == WORDS[FIRST] and row[-1] == WORDS[LAST]
    assert (row[1:-1] == WORDS["cat</w>"]).all()
    assert tokenizer.left_out(text) == 5 and tokenizer.left_out("cat") == 0


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_is_one_marked_row(tokenizer: Tokenizer, text: str) -> None:
    (row,) = tokenizer([text])
    assert row[0] == WORDS[FIRST] and WORDS[LAST] in row
    assert row.min() >= 0 and row.max() <= tokenizer.largest


@pytest.mark.parametrize("kept", ["vocab.json", "tokenizer.json"])
def test_saved_and_read_back_from_either_form(
    tokenizer: Tokenizer, tmp_path: Path, kept: str
) -> None:
    tokenizer.save(tmp_path)
    (tmp_path / {"vocab.json": "tokenizer.json", "tokenizer.json": "vocab.json"}[kept]).unlink()
    again = Tokenizer.load(tmp_path)
    texts = ["a red cat", "sing! 7", LAST]
    np.testing.assert_array_equal(again(texts), tokenizer(texts))
    assert (again.first, again.last, again.pad) == (tokenizer.first, tokenizer.last, tokenizer.pad)


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="neither is here"):
        Tokenizer.load(tmp_path)
    write_tokenizer(tmp_path)
    (tmp_path / "merges.txt").write_text("#version: 0.2\nqq zz\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"merges\.txt: does not fit vocab\.json"):
        Tokenizer.load(tmp_path)
    write_tokenizer(tmp_path)
    (tmp_path / "vocab.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"vocab\.json: cannot be read as JSON"):
        Tokenizer.load(tmp_path)
    write_tokenizer(tmp_path)
    words = {word: number for word, number in WORDS.items() if word != FIRST}
    (tmp_path / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    with pytest.raises(CheckpointError, match="bos_token '<|startoftext|>' is not in the vocab"):
        Tokenizer.load(tmp_path)


def test_one_text_for_a_list_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="texts must be a list"):
        tokenizer("cat")
    with pytest.raises(ValueError, match="You gave 3"):
        tokenizer([3])
