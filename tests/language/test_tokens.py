"""Tokenizers: every text comes back, bytes are counted right, fingerprints tell them apart."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.language.texts import WORDS
from workbench.checkpoints import CheckpointError
from workbench.language.tokens import BPE, Bytes, Characters

ODD = "naïve 世界 🙂\n\ttabs  and\r\nlines "
LEARNT = BPE.train(WORDS * 20 + ODD, 300)
ALL = [Bytes(), Characters.of(WORDS + ODD), LEARNT]


@pytest.mark.parametrize("tokenizer", ALL, ids=lambda one: type(one).__name__)
def test_a_text_comes_back_with_its_bytes(tokenizer):
    for text in (ODD, WORDS, ""):
        ids = tokenizer.encode(text)
        assert ids.dtype == np.int32 and ids.ndim == 1
        assert tokenizer.decode(ids) == text
        assert tokenizer.bytes_of(ids) == text.encode("utf-8")
        assert not len(ids) or 0 <= ids.min() <= ids.max() < tokenizer.vocab_size
    with pytest.raises(ValueError, match=f"ids: {tokenizer.vocab_size} is no token"):
        tokenizer.decode([0, tokenizer.vocab_size])


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40), st.integers(0, 40))
def test_bytes_of_byte_pairs_are_those_of_the_text_wherever_it_is_cut(text, cut):
    ids = LEARNT.encode(text)
    assert LEARNT.bytes_of(ids[:cut]) + LEARNT.bytes_of(ids[cut:]) == text.encode("utf-8")


def test_half_a_character_is_shown_as_the_sign_for_it():
    ids = Bytes().encode("é")
    assert Bytes().decode(ids[:1]) == "\N{REPLACEMENT CHARACTER}"
    assert Bytes().bytes_of(ids[:1]) == "é".encode()[:1]


def test_pairs_are_merged_and_what_was_learnt_is_kept(tmp_path):
    assert LEARNT.vocab_size == 300
    assert len(LEARNT.encode(WORDS)) < 0.6 * len(WORDS)
    LEARNT.save(tmp_path)
    again = BPE.load(tmp_path)
    assert again.fingerprint == LEARNT.fingerprint == BPE.train(WORDS * 20 + ODD, 300).fingerprint
    assert (again.encode(ODD) == LEARNT.encode(ODD)).all()
    assert BPE.train(WORDS * 20, 290).fingerprint != LEARNT.fingerprint


def test_a_vocabulary_of_words_with_spaces_in_front_gives_the_bytes_of_its_text(tmp_path):
    """The form of LLaMA's tokenizer.json: a sign for the space, which begins a word."""
    words = {
        "version": "1.0",
        "added_tokens": [],
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "pre_tokenizer": {
            "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": False,
        },
        "model": {"type": "BPE", "vocab": {"▁": 0, "a": 1, "é": 2, "▁a": 3}, "merges": ["▁ a"]},
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(words), encoding="utf-8")
    tokenizer = BPE.load(tmp_path)
    ids = tokenizer.encode("aé aé")
    assert tokenizer.decode(ids) == "aé aé"
    assert tokenizer.bytes_of(ids) == "aé aé".encode()


def test_characters_are_kept_in_a_file(tmp_path):
    tokenizer = Characters.of(ODD)
    tokenizer.save(tmp_path)
    assert Characters.load(tmp_path) == tokenizer
    assert Characters.load(tmp_path).fingerprint == tokenizer.fingerprint
    assert Characters.of("ab").fingerprint != Characters.of("ac").fingerprint


def test_bad_input_is_told(tmp_path):
    with pytest.raises(ValueError, match="character 'q' at 4 is not among the 3"):
        Characters.of("abc").encode("abcaqz")
    with pytest.raises(ValueError, match="vocab=256 must be above 256"):
        BPE.train(WORDS, 256)
    with pytest.raises(CheckpointError, match="tokenizer.json: cannot be read"):
        BPE.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match="not a tokenizer"):
        BPE.load(tmp_path)
