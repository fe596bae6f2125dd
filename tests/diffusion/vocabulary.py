"""A small vocabulary of CLIP's kind: every byte, every byte at a word's end, and a few merges."""

import json
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel

MERGES = [
    ("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>"), ("a", "n"), ("an", "d</w>"),
    ("t", "h"), ("th", "e</w>"), ("r", "e"), ("re", "d</w>"), ("i", "n"), ("in", "g</w>"),
]  # fmt: skip
FIRST, LAST = "<|startoftext|>", "<|endoftext|>"


def vocabulary() -> dict[str, int]:
    """Tokens in CLIP's order: "!" is number 0, the two marks are the last."""
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(m) for m in MERGES)]
    return {word: number for number, word in enumerate([*words, FIRST, LAST])}


def write_tokenizer(folder: Path, pad: str = LAST, length: int = 77) -> Path:
    """The files a checkpoint's `tokenizer/` holds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary()), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in MERGES), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    special = {"bos_token": FIRST, "eos_token": LAST, "unk_token": LAST, "pad_token": pad}
    marks = special | {"bos_token": {"content": FIRST, "lstrip": False, "normalized": True}}
    (folder / "special_tokens_map.json").write_text(json.dumps(marks), encoding="utf-8")
    settings = {"model_max_length": length, "tokenizer_class": "CLIPTokenizer", **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
