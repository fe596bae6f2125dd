"""Writing so that a reader, now or after a crash, finds the old content or the new, never half."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from workbench.atomic import NO_SPACE, TEMPORARY, replace_file

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class StoreFull(OSError):
    """There is no room to write; what was saved before is untouched."""


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Turns "no space left" into an error that says where, and that nothing saved is lost."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        free = "unknown"
        with suppress(OSError):
            free = f"{shutil.disk_usage(path.parent).free / 1e6:.1f} MB"
        raise StoreFull(
            error.errno,
            f"no room to write {path} ({os.strerror(error.errno or 0)}; free: {free}). "
            "What was saved before is intact; free some space and run again to go on from there",
        ) from error


def write(path: Path, content: bytes) -> None:
    """Replaces a file as one indivisible act, on the disk for good.

    Raises:
        StoreFull: no room; the old content stands.
    """
    with room_for(path):
        replace_file(path, [content])


def write_json(path: Path, value: Any) -> None:
    """Replaces a JSON file as one indivisible act."""
    write(path, (json.dumps(strict(value), indent=1, sort_keys=True) + "\n").encode())


def read_json(path: Path) -> Any:
    """The content of a JSON file, or None where there is none that can be read."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def append_line(path: Path, value: Any, sync: bool = False) -> None:
    """Adds one JSON line. The caller keeps other writers away.

    A torn last line, left by a kill, is cut off first; a line that finds no room leaves no trace.

    Raises:
        StoreFull: no room; the lines before stand.
    """
    line = (json.dumps(strict(value)) + "\n").encode()
    with room_for(path), path.open("a+b", buffering=0) as file:
        size = _whole(file)
        try:
            written = file.write(line)
            while written < len(line):
                written += file.write(line[written:])
            if sync:
                os.fsync(file.fileno())
        except BaseException:
            file.truncate(size)
            raise


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole JSON lines of a file; a torn one, which only a kill leaves, is passed over."""
    rows = []
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    for line in content.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append({name: _number(value) for name, value in row.items()})
    return rows


def remove_leftovers(folder: Path, older_than: float = 0.0) -> None:
    """Removes what killed writers left half written, if it is older than so many seconds."""
    import time

    for left in folder.rglob(f"{TEMPORARY}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime >= older_than:
                left.unlink()


def strict(value: Any) -> Any:
    """JSON values without NaN and infinities, which JSON does not have: they become their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {str(name): strict(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [strict(part) for part in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return strict(value.item())
    return value


def _number(value: Any) -> Any:
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


def _whole(file: Any) -> int:
    """Cuts a torn last line off, and gives the size of what is left."""
    size = file.seek(0, os.SEEK_END)
    end = size
    while end > 0:
        start = max(0, end - 65536)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        file.truncate(end)
    file.seek(0, os.SEEK_END)
    return end
