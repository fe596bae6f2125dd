"""The files that git would commit: what is in the repository, and what is new and not ignored."""

import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1)
def files() -> tuple[Path, ...]:
    """Every such file that exists, relative to the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file())


def texts(*suffixes: str) -> list[tuple[Path, str]]:
    """The text of each file, of those with one of `suffixes` where some are given."""
    found = []
    for file in files():
        if suffixes and file.suffix not in suffixes:
            continue
        raw = (ROOT / file).read_bytes()
        if b"\0" not in raw[:8000]:
            found.append((file, raw.decode("utf-8", errors="replace")))
    return found


is_checkout = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="these tests look at a git checkout"
)
