"""Texts to token ids: CLIP's lower-case byte-pair encoding, read from a checkpoint's own files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from tokenizers import Regex, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Encoder

from workbench.checkpoints import CheckpointError, replace_text

VOCABULARY, MERGES, WHOLE = "vocab.json", "merges.txt", "tokenizer.json"
SPECIAL, SETTINGS = "special_tokens_map.json", "tokenizer_config.json"
FIRST, LAST = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
"""Positions of CLIP's text encoders."""

# Words as CLIP cuts them (Radford et al. 2021, section 2.4): letters, one digit, or other signs.
WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Texts as rows of equal length: a first token, the text's own, a last, and padding.

    Args:
        encoder: splits a text into ids.
        first: id that begins a text.
        last: id that ends it.
        pad: id that fills the rest of the row.
        length: tokens of a row.
    """

    encoder: Encoder
    first: int
    last: int
    pad: int
    length: int = LENGTH

    def __call__(self, texts: Sequence[str]) -> Int[np.ndarray, "B T"]:
        """One row a text; what does not fit is left out (`left_out` tells how much).

        Raises:
            ValueError: one text where a list of them belongs, or something that is no text.
        """
        if isinstance(texts, str):
            raise ValueError(f"texts must be a list of texts. You gave the one text {texts!r}")
        rows = np.full((len(texts), self.length), self.pad, np.int32)
        for row, text in zip(rows, texts, strict=True):
            ids = [self.first, *self._ids(text)[: self.length - 2], self.last]
            row[: len(ids)] = ids
        return rows

    def left_out(self, text: str) -> int:
        """Tokens of a text beyond what fits into a row."""
        return max(len(self._ids(text)) - (self.length - 2), 0)

    @property
    def largest(self) -> int:
        """The largest id there is."""
        return max(self.encoder.get_vocab(with_added_tokens=True).values())

    @cached_property
    def rules(self) -> list[Any]:
        """Numbers of the special tokens, and a digest of how texts are cut and numbered."""
        cut = hashlib.sha256(self.encoder.to_str().encode()).hexdigest()[:16]
        return [self.first, self.last, self.pad, self.length, cut]

    def _ids(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise ValueError(f"texts must be texts. You gave {text!r}")
        return list(self.encoder.encode(text, add_special_tokens=False).ids)

    @classmethod
    def load(cls, folder: str | Path, pad: str | None = None) -> Tokenizer:
        """Read `vocab.json` with `merges.txt`, or `tokenizer.json`, and the special tokens.

        Args:
            folder: holds them.
            pad: token that fills rows, instead of the one the files name.

        Raises:
            CheckpointError: a missing or broken file, or a special token the vocabulary lacks.
        """
        folder = Path(folder)
        settings = _settings(folder)
        last = _text(settings.get("eos_token"), LAST)
        special = {
            "bos_token": _text(settings.get("bos_token"), FIRST),
            "eos_token": last,
            "pad_token": pad or _text(settings.get("pad_token"), last),
        }
        unknown = _text(settings.get("unk_token"), last)
        encoder = _encoder(folder, unknown)
        known = encoder.get_vocab(with_added_tokens=True)
        for role, token in special.items():
            if token not in known:
                raise CheckpointError(f"{folder}: {role} {token!r} is not in the vocabulary")
        encoder.add_special_tokens([*special.values(), unknown])
        encoder.no_padding()
        encoder.no_truncation()
        # Some files give 10^30 for "no limit".
        length = settings.get("model_max_length", LENGTH)
        length = int(length) if isinstance(length, int | float) and 3 <= length <= 4096 else LENGTH
        first, end, pad_id = (known[token] for token in special.values())
        return cls(encoder, first, end, pad_id, length)

    def save(self, folder: str | Path) -> Path:
        """Write `tokenizer.json`, `vocab.json`, `merges.txt` and the settings beside them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        encoder = self.encoder
        replace_text(folder / WHOLE, encoder.to_str(pretty=True))
        model = json.loads(encoder.to_str())["model"]
        vocabulary = json.dumps(model["vocab"], ensure_ascii=False)
        replace_text(folder / VOCABULARY, vocabulary)
        pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
        replace_text(folder / MERGES, "\n".join(["#version: 0.2", *pairs, ""]))
        names = {
            role: encoder.id_to_token(token)
            for role, token in (
                ("bos_token", self.first),
                ("eos_token", self.last),
                ("pad_token", self.pad),
            )
        }
        names["unk_token"] = model.get("unk_token") or names["eos_token"]
        _write(folder / SPECIAL, names)
        more = {"tokenizer_class": "CLIPTokenizer", "model_max_length": self.length}
        _write(folder / SETTINGS, {**names, **more})
        return folder


def byte_pairs(vocabulary: dict[str, int], merges: list[tuple[str, str]], unknown: str) -> Encoder:
    """CLIP's encoder from a vocabulary and its merges, in order of preference."""
    encoder = Encoder(
        models.BPE(
            vocab=vocabulary,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            fuse_unk=False,
            unk_token=unknown,
        )
    )
    encoder.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    encoder.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return encoder


def _encoder(folder: Path, unknown: str) -> Encoder:
    if (folder / VOCABULARY).is_file() and (folder / MERGES).is_file():
        vocabulary = _fields(folder / VOCABULARY)
        lines = (folder / MERGES).read_text(encoding="utf-8").split("\n")
        lines = lines[1:] if lines[0].startswith("#version") else lines
        try:
            pairs = [(first, second) for first, second in map(str.split, filter(str.strip, lines))]
            return byte_pairs(vocabulary, pairs, unknown)
        except Exception as error:  # the library raises no narrower kind
            raise CheckpointError(f"{folder / MERGES}: does not fit vocab.json: {error}") from error
    if not (folder / WHOLE).is_file():
        raise CheckpointError(
            f"{folder}: needs {VOCABULARY} and {MERGES}, or {WHOLE}; neither is here"
        )
    try:
        return Encoder.from_file(str(folder / WHOLE))
    except Exception as error:  # the library raises no narrower kind
        raise CheckpointError(f"{folder / WHOLE}: cannot be read: {error}") from error


def _settings(folder: Path) -> dict[str, Any]:
    """The settings of both files. Where they differ, the special tokens' own file is right, as
    transformers reads them, unless the other is of the newer kind that lists the added tokens.
    """
    special, settings = (
        _fields(folder / name) if (folder / name).is_file() else {} for name in (SPECIAL, SETTINGS)
    )
    return special | settings if "added_tokens_decoder" in settings else settings | special


def _fields(file: Path) -> dict[str, Any]:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read as JSON: {error}") from error
    if not isinstance(fields, dict):
        raise CheckpointError(f"{file}: holds {type(fields).__name__}, needed an object of fields")
    return fields


def _text(token: Any, otherwise: str) -> str:
    """A special token as its text; files hold it bare or with its settings around it."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else otherwise


def _write(file: Path, fields: dict[str, Any]) -> None:
    replace_text(file, json.dumps(fields, indent=2, ensure_ascii=False) + "\n")
