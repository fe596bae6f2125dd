"""A user's own text file as a dataset."""

from pathlib import Path

import numpy as np

from workbench.datasets.card import Card
from workbench.datasets.dataset import LARGEST, Dataset, DatasetError, Text

SMALLEST = 64
"""Bytes; less cannot be split into anything to learn from."""


def text_file(path: str | Path, *, test_share: float = 0.1) -> Dataset[Text]:
    """A UTF-8 text file, the end of it held out.

    Args:
        path: the file.
        test_share: share of the bytes held out at the end, from the next start of a line (or of
            a character, where a line is very long).

    Raises:
        DatasetError: missing, empty, too small or too large, binary, or not UTF-8.
    """
    file = Path(path)
    if not 0 < test_share < 1:
        raise DatasetError(f"test_share={test_share} must lie between 0 and 1")
    raw = _read(file)
    cut = _cut(raw, test_share)
    train, test = (
        Text(
            np.frombuffer(piece, np.uint8).copy(),
            np.zeros(1, np.int64),
            np.array([f"{file.name} {side}"]),
        )
        for piece, side in ((raw[:cut], "head"), (raw[cut:], "tail"))
    )
    lines = raw.splitlines()
    card = Card(
        title=f"Text of {file.name}",
        source=f"the file {file.name}",
        licence="the user's own",
        done="taken as it is, as UTF-8 bytes",
        split=f"the last {len(test) / len(raw):.1%} of the file is test",
        sizes=f"{len(train):,} bytes train, {len(test):,} bytes test, {len(lines):,} lines",
        unique_bytes=sum(len(line) for line in set(lines)),
        notes="unique bytes counts each distinct line once; a line may stand on both sides.",
    )
    return Dataset(f"text-{file.name}", card, train, test)


def _read(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise DatasetError(f"{file}: {size:,} bytes; at most {LARGEST >> 30} GiB is read")
        raw = file.read_bytes()
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read: {error.strerror or error}") from error
    raw = raw.removeprefix(b"\xef\xbb\xbf")  # the mark some editors put before UTF-8
    if b"\0" in raw[: 1 << 16] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DatasetError(f"{file}: holds zero bytes, so it is not a text file")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{file}: not UTF-8: byte {raw[error.start]:#04x} at position {error.start} in line "
            f"{raw[: error.start].count(10) + 1}; save the file as UTF-8"
        ) from error
    if len(raw.strip()) < SMALLEST:
        raise DatasetError(f"{file}: {len(raw)} bytes of text; at least {SMALLEST} are needed")
    return raw


def _cut(raw: bytes, share: float) -> int:
    """Where the test part begins: the next line, or else the next character."""
    wanted = min(max(1, round(len(raw) * (1 - share))), len(raw) - 4)
    newline = raw.find(b"\n", wanted, wanted + max(256, len(raw) // 100))
    if 0 <= newline < len(raw) - 1:
        return newline + 1
    while raw[wanted] & 0xC0 == 0x80:  # inside a character
        wanted += 1
    return wanted
