"""The one error of this package."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from workbench.atomic import NO_SPACE


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, written, or made to fit a model."""


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
        if error.errno in NO_SPACE:
            reason = f"the disk is full or a size limit was met ({reason}); {needed} bytes needed"
        raise CheckpointError(
            f"{path}: not written: {reason}. What was there before is untouched"
        ) from error
