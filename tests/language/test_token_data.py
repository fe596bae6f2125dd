"""Rows of tokens: each target once an epoch, documents apart, the same in every process."""

import numpy as np
import pytest

from tests.language.texts import WORDS, dataset, text_of
from workbench.datasets import DatasetError, text_file
from workbench.language.token_data import IGNORED, TokenData
from workbench.language.tokens import BPE, Characters

DATA = TokenData(dataset(), length=10)


def test_an_epoch_holds_every_target_once_and_targets_come_one_later():
    ids = DATA.train.ids
    assert DATA.rows == (len(ids) - 1) // 10 and DATA.epochs(DATA.rows, 2) == 2
    batches = [DATA.batch(step, 1, seed=3) for step in range(DATA.rows)]
    rows = {(*batch.tokens[0].tolist(), int(batch.targets[0, -1])) for batch in batches}
    assert rows == {tuple(ids[i * 10 : i * 10 + 11].tolist()) for i in range(DATA.rows)}
    for batch in batches:
        assert batch.segment_ids is None
        assert (batch.tokens[:, 1:] == batch.targets[:, :-1]).all()
        assert batch.tokens.dtype == batch.targets.dtype == np.int32


def test_batches_depend_on_step_and_seed_alone():
    again = TokenData(dataset(), length=10)
    assert (again.batch(7, 4, 1).tokens == DATA.batch(7, 4, 1).tokens).all()
    assert (DATA.batch(7, 4, 1).tokens != DATA.batch(8, 4, 1).tokens).any()
    assert (DATA.batch(7, 4, 1).tokens != DATA.batch(7, 4, 2).tokens).any()


def test_packed_documents_do_not_see_each_other():
    data = TokenData(dataset(text_of("abcd" * 4, "wxyz" * 5)), length=7, packed=True)
    assert data.rows == 5
    seen = 0
    for step in range(5):
        rows = data.batch(step, 1, 0)
        assert rows.segment_ids is not None
        inside = rows.targets[0] != IGNORED
        for place in range(7):
            first = chr(rows.tokens[0, place]) in "abcd"
            assert rows.segment_ids[0, place] == (0 if first else 1)
            if inside[place]:
                assert first == (chr(rows.targets[0, place]) in "abcd")
        seen += int(inside.sum())
    assert seen == 35 - 1  # the first letter of the second document is nobody's target


def test_test_rows_are_all_targets_once_and_their_bytes():
    for tokenizer in (None, Characters.of(WORDS), BPE.train(WORDS * 9, 280)):
        data = TokenData(dataset(), length=10, **({"tokenizer": tokenizer} if tokenizer else {}))
        rows = data.test_rows()
        ids = data.test.ids
        assert (rows.targets[rows.targets != IGNORED] == ids[1:]).all()
        text = dataset().test.text.tobytes()
        first = data.tokenizer.bytes_of(ids[:1])
        assert data.bytes_of_targets(rows) == len(text) - len(first)
    some = DATA.test_rows(5)
    assert some.tokens.shape == (5, 10) and (some.targets != IGNORED).all()
    assert DATA.test_rows(length=25).tokens.shape[1] == 25


def test_what_is_seen_of_the_data_is_said():
    said = DATA.summary(steps=2 * DATA.rows, batch_size=3)
    assert f"{len(WORDS)} unique bytes" in said and "6.00 epochs" in said
    assert f"{len(WORDS)} unique bytes" in repr(DATA) and "words" in DATA._repr_html_()


def test_fingerprints_follow_text_tokens_and_rows():
    others = [
        TokenData(dataset(text_of(WORDS * 3)), length=10),
        TokenData(dataset(), length=11),
        TokenData(dataset(), length=10, packed=True),
        TokenData(dataset(), Characters.of(WORDS), 10),
    ]
    assert len({DATA.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert TokenData(dataset(), length=10).fingerprint == DATA.fingerprint


def test_data_that_cannot_be_used_is_told(tmp_path):
    with pytest.raises(DatasetError, match="words: its training split has 0 tokens; a row needs"):
        TokenData(dataset(text_of()), length=8)
    with pytest.raises(DatasetError, match="has 5 tokens; a row needs 9, one more than length=8"):
        TokenData(dataset(text_of("abcde")), length=8)
    with pytest.raises(DatasetError, match="its test split has 0 tokens"):
        TokenData(dataset(test=text_of()), length=8)
    with pytest.raises(DatasetError, match="length=0 must be 1 or more"):
        TokenData(dataset(), length=0)
    image = tmp_path / "picture.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n\0\0" + bytes(200))
    with pytest.raises(DatasetError, match="picture.png: holds zero bytes, so it is not a text"):
        TokenData(text_file(image))
