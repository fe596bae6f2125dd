"""A small text and the smallest decoders that read it, which the training tests share."""

from __future__ import annotations

import numpy as np

from workbench.datasets import Card, Dataset, Text
from workbench.language import DecoderConfig
from workbench.language.mixers.gla import GLAConfig

WORDS = "the gate of each key forgets what no later query asks for, and the state stays small. "


def text_of(*documents: str) -> Text:
    pieces = [document.encode("utf-8") for document in documents]
    starts = np.cumsum([0, *map(len, pieces)], dtype=np.int64)[:-1]
    names = np.array([f"document {number}" for number in range(len(pieces))])
    return Text(np.frombuffer(b"".join(pieces), np.uint8).copy(), starts, names)


def dataset(train: Text | None = None, test: Text | None = None) -> Dataset[Text]:
    train = text_of(*[WORDS[n:] + WORDS * 5 for n in range(8)]) if train is None else train
    test = text_of(WORDS * 3, WORDS[9:] * 2) if test is None else test
    card = Card("words", "written here", "any", "nothing", "by hand", "few", len(WORDS))
    return Dataset("words", card, train, test)


def config(vocab: int = 256, **changes: object) -> DecoderConfig:
    fields = {
        "vocab_size": vocab,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "mixers": (GLAConfig(num_heads=2),),
        "intermediate_size": 32,
    }
    return DecoderConfig.model_validate({**fields, **changes})
