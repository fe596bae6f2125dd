"""Where a pipeline is: a path, or a hub name found in the local cache or downloaded."""

from __future__ import annotations

import json
from pathlib import Path

from workbench.model_files import hub

INDEX = "model_index.json"
TEXTS = (INDEX, "*/*.json", "*/*.txt")
UNREAD = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts that change nothing of what is drawn here, present or not."""
LIGHT = ("scheduler", "tokenizer", "tokenizer_2")
"""Parts without weights."""
UNREAD_FILES = tuple(f"{part}/*" for part in UNREAD)


def find(source: str | Path, variant: str | None = None) -> Path:
    """The folder or file that a path or a hub name means; errors as in `hub.find`."""
    unwanted = ["*/*.non_ema.*", *(["*/*.fp16.*"] if variant is None else []), *UNREAD_FILES]
    return hub.find(
        source,
        index=INDEX,
        is_whole=_is_whole,
        wanted=[*TEXTS, "*/*.safetensors"],
        unwanted=unwanted,
    )


def _is_whole(folder: Path) -> bool:
    """Whether every part the index names is there, with weights where it has some."""
    try:
        fields = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        parts = [p for p, entry in fields.items() if isinstance(entry, list) and entry[-1]]
    except (OSError, ValueError, AttributeError, IndexError):
        return False
    read = [folder / part for part in parts if part not in UNREAD]
    return all(part.is_dir() and (part.name in LIGHT or _has_weights(part)) for part in read)


def _has_weights(part: Path) -> bool:
    return any(part.glob("*.safetensors"))
