"""Texts to token ids and back: bytes, characters, byte-pair encoding, a checkpoint's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int32
from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers, trainers

from workbench.checkpoints import CheckpointError, replace_text

FILE = "tokenizer.json"
CHARACTERS = "characters.json"

Ids = Sequence[int] | np.ndarray


class Tokenizer(Protocol):
    """What the models here need of a tokenizer.

    Attributes:
        vocab_size: ids are below it.
        fingerprint: equal where all texts give equal ids.
    """

    @property
    def vocab_size(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def encode(self, text: str) -> Int32[np.ndarray, " N"]:
        """The text's ids."""
        ...

    def decode(self, ids: Ids) -> str:
        """The text of ids; what is no whole character is shown as the sign for that."""
        ...

    def bytes_of(self, ids: Ids) -> bytes:
        """The UTF-8 bytes the ids stand for; their number is what bits per byte divides by."""
        ...


@dataclass(frozen=True)
class Bytes:
    """Each byte of UTF-8 is a token."""

    vocab_size = 256
    fingerprint = "bytes"

    def encode(self, text: str) -> Int32[np.ndarray, " N"]:
        """The text's bytes."""
        return np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int32)

    def decode(self, ids: Ids) -> str:
        """The text of these bytes."""
        return self.bytes_of(ids).decode("utf-8", "replace")

    def bytes_of(self, ids: Ids) -> bytes:
        """The bytes themselves.

        Raises:
            ValueError: an id that is no byte.
        """
        return _below(ids, self.vocab_size).astype(np.uint8).tobytes()


@dataclass(frozen=True)
class Characters:
    """Each character is a token.

    Args:
        characters: all there are, in the order of their ids.
    """

    characters: str

    @classmethod
    def of(cls, text: str) -> Characters:
        """The characters of a text, in the order of Unicode."""
        return cls("".join(sorted(set(text))))

    @classmethod
    def load(cls, folder: str | Path) -> Characters:
        """Reads `characters.json`."""
        found = json.loads((Path(folder) / CHARACTERS).read_text(encoding="utf-8"))
        return cls(found["characters"])

    def save(self, folder: str | Path) -> None:
        """Writes `characters.json`."""
        text = json.dumps({"characters": self.characters}, ensure_ascii=False)
        replace_text(Path(folder) / CHARACTERS, text + "\n")

    @property
    def vocab_size(self) -> int:
        """How many characters there are."""
        return len(self.characters)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the characters."""
        return "characters-" + hashlib.sha256(self.characters.encode("utf-8")).hexdigest()

    @cached_property
    def _codes(self) -> np.ndarray:
        return _code_points(self.characters)

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self._codes)

    def encode(self, text: str) -> Int32[np.ndarray, " N"]:
        """The place of each character.

        Raises:
            ValueError: a character that is not among them.
        """
        codes, ordered = _code_points(text), self._codes[self._order]
        place = np.minimum(np.searchsorted(ordered, codes), len(ordered) - 1)
        (unknown,) = np.nonzero(ordered[place] != codes)
        if len(unknown):
            raise ValueError(
                f"text: character {text[unknown[0]]!r} at {unknown[0]} is not among the "
                f"{self.vocab_size} of this vocabulary; make it of all texts (Characters.of)"
            )
        return self._order[place].astype(np.int32)

    def decode(self, ids: Ids) -> str:
        """The characters."""
        return "".join(self.characters[one] for one in _below(ids, self.vocab_size).tolist())

    def bytes_of(self, ids: Ids) -> bytes:
        """Their UTF-8 form."""
        return self.decode(ids).encode("utf-8")


@dataclass(frozen=True, eq=False)
class BPE:
    """Byte-pair encoding (Sennrich et al. 2016), of our own training or a checkpoint's.

    Args:
        encoder: of the `tokenizers` library.
    """

    encoder: Encoder

    @classmethod
    def train(cls, text: str, vocab: int) -> BPE:
        """Merges the commonest pairs of bytes until there are `vocab` tokens.

        Words are cut as GPT-2 cuts them (Radford et al. 2019, section 2.2), so that no merge
        crosses from one word into the next, and every text can be encoded.

        Args:
            text: to learn from; the same text gives the same tokens.
            vocab: tokens wanted, above 256. A short text may have fewer pairs than that.

        Raises:
            ValueError: `vocab` leaves no room for the 256 bytes.
        """
        if vocab <= 256:
            raise ValueError(f"vocab={vocab} must be above 256, the bytes every text is made of")
        encoder = Encoder(models.BPE())
        encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        encoder.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab,
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        )
        encoder.train_from_iterator(text.splitlines(keepends=True), trainer)
        return cls(encoder)

    @classmethod
    def load(cls, folder: str | Path) -> BPE:
        """Reads `tokenizer.json`, ours or that of a Hugging Face folder.

        Raises:
            CheckpointError: no such file, or not one of the `tokenizers` library.
        """
        file = Path(folder) / FILE
        try:
            return cls(Encoder.from_str(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}") from error
        except Exception as error:  # the library raises bare ones
            raise CheckpointError(f"{file}: not a tokenizer: {error}") from error

    def save(self, folder: str | Path) -> None:
        """Writes `tokenizer.json`."""
        replace_text(Path(folder) / FILE, self.encoder.to_str(pretty=True) + "\n")

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, added ones included."""
        return self.encoder.get_vocab_size(with_added_tokens=True)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that `tokenizer.json` says."""
        return "bpe-" + hashlib.sha256(self.encoder.to_str().encode("utf-8")).hexdigest()

    def encode(self, text: str) -> Int32[np.ndarray, " N"]:
        """The text's ids, none added before or after."""
        return np.array(self.encoder.encode(text, add_special_tokens=False).ids, np.int32)

    def decode(self, ids: Ids) -> str:
        """The text."""
        if self._pieces is not None:
            return self.bytes_of(ids).decode("utf-8", "replace")
        return self.encoder.decode(_below(ids, self.vocab_size).tolist(), skip_special_tokens=False)

    def bytes_of(self, ids: Ids) -> bytes:
        """The bytes: exact for a vocabulary of bytes, else those of the decoded text."""
        if self._pieces is None:
            return self.decode(ids).encode("utf-8")
        return b"".join(self._pieces[one] for one in _below(ids, self.vocab_size).tolist())

    @cached_property
    def _pieces(self) -> list[bytes] | None:
        """The bytes of each token, where the vocabulary is one of bytes."""
        words = json.loads(self.encoder.to_str())
        if not _speaks_bytes(words.get("decoder")):
            return None
        added = {entry["id"]: entry["content"] for entry in words.get("added_tokens", ())}
        letters = _byte_letters()
        pieces = []
        for one in range(self.vocab_size):
            word = self.encoder.id_to_token(one) or ""
            plain = one not in added and all(letter in letters for letter in word)
            pieces.append(bytes(letters[c] for c in word) if plain else word.encode("utf-8"))
        return pieces


def _speaks_bytes(decoder: dict[str, Any] | None) -> bool:
    return bool(decoder) and decoder is not None and decoder.get("type") == "ByteLevel"


def _byte_letters() -> dict[str, int]:
    """The letter by which GPT-2's vocabulary writes each byte: itself where it can be seen.

    The others take the letters from 256 on, in their order.
    """
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {chr(byte): byte for byte in seen}
    hidden = [byte for byte in range(256) if chr(byte) not in letters]
    return letters | {chr(256 + place): byte for place, byte in enumerate(hidden)}


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), "<u4")


def _below(ids: Ids, vocab_size: int) -> np.ndarray:
    found = np.asarray(ids, np.int64).reshape(-1)
    outside = (found < 0) | (found >= vocab_size)
    if outside.any():
        raise ValueError(f"ids: {found[outside][0]} is no token; they are 0..{vocab_size - 1}")
    return found
