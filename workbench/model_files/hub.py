"""Where a checkpoint is: a path, or a hub name found in the local cache or downloaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from workbench.checkpoints import CheckpointError

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+")


def find(
    source: str | Path,
    *,
    index: str,
    is_whole: Callable[[Path], bool],
    wanted: Sequence[str],
    unwanted: Sequence[str] = (),
) -> Path:
    """The folder or file that a path or a hub name means.

    A path that exists is itself. A name such as "owner/model" is looked up in the local hub cache,
    without the network, then fetched where the network is.

    Args:
        source: a path, or "owner/model".
        index: the file without which a folder in the cache is not this kind of checkpoint.
        is_whole: whether a folder in the cache has all its files.
        wanted, unwanted: patterns of file names to fetch.

    Raises:
        CheckpointError: neither a path nor a hub name, or a name that can be reached nowhere.
    """
    place = Path(source).expanduser()
    if place.exists():
        return place
    name = str(source)
    if not HUB_NAME.fullmatch(name):
        raise CheckpointError(f"{source}: no such file or folder, and no hub name (owner/model)")
    cached = _cached(name, index)
    if cached is not None and is_whole(cached):
        return cached
    try:
        return _fetched(name, wanted, unwanted)
    except CheckpointError:
        if cached is None:
            raise
        return cached  # its reader names the part that is missing


def _cached(name: str, index: str) -> Path | None:
    """The snapshot in the local cache, whole or not."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except Exception:  # the hub's errors are of many kinds; all mean "not here"
        return None
    return folder if (folder / index).is_file() else None


def _fetched(name: str, wanted: Sequence[str], unwanted: Sequence[str]) -> Path:
    from huggingface_hub import constants, snapshot_download

    try:
        return Path(
            snapshot_download(name, allow_patterns=list(wanted), ignore_patterns=list(unwanted))
        )
    except Exception as error:  # the hub's errors are of many kinds
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"{name}: not a path here, not in the hub cache ({constants.HF_HUB_CACHE}), and not "
            f"fetched from the hub: {reason}"
        ) from error
