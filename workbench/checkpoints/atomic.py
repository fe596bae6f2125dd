"""Replace a file in one step, on the disk for good, with one clear error where that fails."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from workbench.checkpoints.errors import CheckpointError


def replace_file(target: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write `pieces` beside `target` under a temporary name, flush to disk, and rename."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    # The rename is done; a folder that cannot be flushed is no reason to call it failed.
    with contextlib.suppress(OSError):
        _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def clear_write_error(path: Path, needed: int) -> Iterator[None]:
    """Turn what the disk says into a `CheckpointError` that names the file and the cause.

    Args:
        path: the file the caller asked for.
        needed: bytes to be written, for the message.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            reason = f"the disk is full or a size limit was met ({reason}); {needed} bytes needed"
        raise CheckpointError(
            f"{path}: not written: {reason}. What was there before is untouched"
        ) from error
