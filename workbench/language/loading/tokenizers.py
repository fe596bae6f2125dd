"""The tokenizer beside a model: `tokenizer.json`, `characters.json`, or a note that it is bytes."""

from __future__ import annotations

import json
from pathlib import Path

from workbench.checkpoints import replace_text
from workbench.language.tokens import BPE, CHARACTERS, FILE, Bytes, Characters, Tokenizer

NOTE = "tokenizer_config.json"
BYTES = {"tokenizer_class": "workbench.language.tokens.Bytes"}


def read_tokenizer(folder: Path, vocab_size: int) -> Tokenizer | None:
    """The tokenizer of a model's folder; None where there is none.

    Args:
        folder: the model's.
        vocab_size: vectors the model has.

    Raises:
        CheckpointError: a file that is no tokenizer.
        ValueError: an id the model has no vector for.
    """
    found = _found(folder)
    if found is not None:
        require_vectors(found, vocab_size, str(folder))
    return found


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Writes it where `read_tokenizer` finds it, and removes another that was there."""
    for name in (FILE, CHARACTERS, NOTE):
        (folder / name).unlink(missing_ok=True)
    if isinstance(tokenizer, BPE | Characters):
        tokenizer.save(folder)
    elif isinstance(tokenizer, Bytes):
        replace_text(folder / NOTE, json.dumps(BYTES) + "\n")
    else:
        raise TypeError(
            f"tokenizer={tokenizer!r}: only those of workbench.language.tokens are saved"
        )


def require_vectors(tokenizer: Tokenizer, vocab_size: int, place: str = "tokenizer") -> None:
    """That the model has a vector for every id.

    Raises:
        ValueError: it has not; names the largest id.
    """
    largest = tokenizer.vocab_size - 1
    if isinstance(tokenizer, BPE):  # added tokens may leave ids out
        largest = max(tokenizer.encoder.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest >= vocab_size:
        raise ValueError(
            f"{place}: the tokenizer's largest id is {largest}; the model has vectors for ids "
            f"below vocab_size={vocab_size}"
        )


def _found(folder: Path) -> Tokenizer | None:
    if (folder / FILE).is_file():
        return BPE.load(folder)
    if (folder / CHARACTERS).is_file():
        return Characters.load(folder)
    if (folder / NOTE).is_file() and _is_bytes(folder / NOTE):
        return Bytes()
    return None


def _is_bytes(note: Path) -> bool:
    try:
        fields = json.loads(note.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(fields, dict) and fields.get("tokenizer_class") == BYTES["tokenizer_class"]
