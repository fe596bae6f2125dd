"""Text as it comes: whole characters, and all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers

from workbench.language.generation.text_stream import TextStream
from workbench.language.tokens import BPE, Bytes, Characters

TEXT = "naïve 文字 🙂 ok"


def streamed(tokenizer, ids, after=()):
    stream = TextStream(tokenizer, after)
    return [*(stream.push(one) for one in ids), stream.close()]


def of_pieces() -> BPE:
    """A vocabulary like LLaMA's: pieces with their space, and bytes for what is no piece."""
    words = ["▁a", "▁the", "b", "▁", *(f"<0x{byte:02X}>" for byte in range(256))]
    model = models.BPE({word: n for n, word in enumerate(words)}, [], byte_fallback=True)
    encoder = Encoder(model)
    encoder.pre_tokenizer = pre_tokenizers.Metaspace()
    encoder.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return BPE(encoder)


@pytest.mark.parametrize("kind", ["bytes", "characters", "bpe"])
def test_a_character_is_given_when_it_is_whole(kind):
    tokenizer = {
        "bytes": Bytes,
        "characters": lambda: Characters.of(TEXT),
        "bpe": lambda: BPE.train("naive ok " * 4, 260),
    }[kind]()
    pieces = streamed(tokenizer, tokenizer.encode(TEXT).tolist())
    assert "".join(pieces) == TEXT
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)
    if kind == "bytes":
        assert pieces[:4] == ["n", "a", "", "ï"]


def test_pieces_keep_their_spaces_and_bytes_wait_for_each_other():
    tokenizer = of_pieces()
    ids = {word: tokenizer.encoder.token_to_id(word) for word in ("▁a", "▁the", "b", "▁")}
    smile = [tokenizer.encoder.token_to_id(f"<0x{byte:02X}>") for byte in "🙂".encode()]
    sequence = [ids["▁the"], ids["b"], *smile, ids["▁a"], *smile[:2]]
    assert streamed(tokenizer, sequence) == [
        "the", "b", "", "", "", "🙂", " a", "", "", "\N{REPLACEMENT CHARACTER}" * 2,
    ]  # fmt: skip
    assert streamed(tokenizer, [ids["▁a"]], after=[ids["▁the"], ids["b"]]) == [" a", ""]


@given(st.binary(max_size=40))
def test_nothing_is_lost_or_added_whatever_the_bytes(data):
    assert "".join(streamed(Bytes(), list(data))) == data.decode("utf-8", "replace")
