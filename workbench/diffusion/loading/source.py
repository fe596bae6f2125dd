"""Where a checkpoint is: a path, or a hub name found in the local cache or downloaded."""

from __future__ import annotations

import json
import re
from pathlib import Path

from workbench.checkpoints import CheckpointError

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+")
INDEX = "model_index.json"
TEXTS = (INDEX, "*/*.json", "*/*.txt")
UNREAD = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts that change nothing of what is drawn here, present or not."""
LIGHT = ("scheduler", "tokenizer", "tokenizer_2")
"""Parts without weights."""
UNREAD_FILES = tuple(f"{part}/*" for part in UNREAD)


def find(source: str | Path, variant: str | None = None) -> Path:
    """The folder or file that a path or a hub name means.

    A path that exists is itself. A name such as "owner/model" is looked up in the local hub cache,
    without the network, then fetched where the network is.

    Raises:
        CheckpointError: neither a path nor a hub name, or a name that can be reached nowhere.
    """
    place = Path(source).expanduser()
    if place.exists():
        return place
    name = str(source)
    if not HUB_NAME.fullmatch(name):
        raise CheckpointError(f"{source}: no such file or folder, and no hub name (owner/model)")
    cached = _cached(name)
    if cached is not None and _is_whole(cached):
        return cached
    try:
        return _fetched(name, variant)
    except CheckpointError:
        if cached is None:
            raise
        return cached  # its reader names the part that is missing


def _cached(name: str) -> Path | None:
    """The snapshot in the local cache, whole or not."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except Exception:  # the hub's errors are of many kinds; all mean "not here"
        return None
    return folder if (folder / INDEX).is_file() else None


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


def _fetched(name: str, variant: str | None) -> Path:
    from huggingface_hub import constants, snapshot_download

    unwanted = ["*/*.non_ema.*", *(["*/*.fp16.*"] if variant is None else []), *UNREAD_FILES]
    try:
        wanted = [*TEXTS, "*/*.safetensors"]
        return Path(snapshot_download(name, allow_patterns=wanted, ignore_patterns=unwanted))
    except Exception as error:  # the hub's errors are of many kinds
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"{name}: not a path here, not in the hub cache ({constants.HF_HUB_CACHE}), and not "
            f"fetched from the hub: {reason}"
        ) from error
