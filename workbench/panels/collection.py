"""Garbage is collected after an answer, not before it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collected_later() -> Iterator[None]:
    """Holds back Python's collector inside the block.

    A walk through everything that a kernel with charts, tables and models holds takes as long as
    the answer to a slider's move.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
