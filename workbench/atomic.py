"""Replace a file in one step: a reader, now or after a crash, finds the old content or the new."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

TEMPORARY = ".writing-"
"""How the name of a file begins that is not yet whole."""

NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""What the system says where there is no room; Windows knows no quota."""


def replace_file(target: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write `pieces` beside `target` under a temporary name, flush to disk, and rename.

    Raises:
        OSError: as the system gives it; the old content stands.
    """
    temporary = target.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
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
