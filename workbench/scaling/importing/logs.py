"""Logs of training tools: Weights & Biases exports, TensorBoard events, Hugging Face's Trainer."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

LARGEST_RECORD = 64 << 20
TRAINER = "trainer_state.json"
EVENTS = "events.out.tfevents."


class LogError(ValueError):
    """A file that is not what it should be; the message names it."""


def read(path: str | Path) -> pd.DataFrame:
    """A table from a file or a folder, by what is in it.

    A CSV, TSV, JSON lines or Parquet file as it stands; an export of curves from Weights & Biases
    with a row for each run and step; a folder of TensorBoard events or of Trainer checkpoints with
    a row for each step, and `run` for the sub-folder.

    Args:
        path: of either.

    Raises:
        LogError: nothing there that can be read.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        return _folder(place)
    if not place.is_file():
        raise LogError(f"{place.name}: no such file")
    if place.name == TRAINER:
        return trainer(place)
    if place.name.startswith(EVENTS):
        return wide(events(place))
    return _table(place)


def _table(place: Path) -> pd.DataFrame:
    readers: dict[str, Any] = {
        ".csv": lambda: pd.read_csv(place),
        ".tsv": lambda: pd.read_csv(place, sep="\t"),
        ".jsonl": lambda: pd.read_json(place, lines=True),
        ".json": lambda: pd.read_json(place),
        ".parquet": lambda: pd.read_parquet(place),
    }
    if place.suffix.lower() not in readers:
        raise LogError(f"{place.name} is none of {', '.join(readers)}")
    try:
        table = readers[place.suffix.lower()]()
    except (ValueError, UnicodeDecodeError, ImportError) as fault:
        raise LogError(f"{place.name} cannot be read: {fault}") from None
    if table.empty:
        raise LogError(f"{place.name} has no rows")
    return wandb_curves(table) if _is_wandb(table) else table


def _folder(place: Path) -> pd.DataFrame:
    states = sorted(place.rglob(TRAINER))
    if states:
        return pd.concat([_one_state(states, run) for run in _runs(states)], ignore_index=True)
    files = sorted(place.rglob(f"{EVENTS}*"))
    if files:
        tables = []
        for run, group in _by_folder(files, place):
            rows = wide([event for file in group for event in events(file)])
            tables.append(rows.assign(run=run))
        return pd.concat(tables, ignore_index=True)
    raise LogError(f"{place.name} holds neither {TRAINER} nor {EVENTS}* files")


def _is_wandb(table: pd.DataFrame) -> bool:
    return "Step" in table.columns and any(str(c).endswith("__MIN") for c in table.columns)


def wandb_curves(table: pd.DataFrame) -> pd.DataFrame:
    """An exported chart: columns `run - metric`, with `__MIN` and `__MAX` beside each."""
    curves = []
    for column in table.columns:
        name = str(column)
        if " - " not in name or name.endswith(("__MIN", "__MAX")):
            continue
        run, metric = name.rsplit(" - ", 1)
        rows = table[["Step", column]].dropna()
        curves.append(
            pd.DataFrame(
                {"run": run, "step": rows["Step"], "metric": metric, "value": rows[column]}
            )
        )
    if not curves:
        raise LogError("the export has no column named 'run - metric'")
    long = pd.concat(curves, ignore_index=True)
    found = long.pivot_table(index=["run", "step"], columns="metric", values="value")
    return found.reset_index().rename_axis(columns=None)


def trainer(file: Path) -> pd.DataFrame:
    """`log_history` of a Trainer's state, a row a step; evaluation and training rows are joined."""
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        rows = pd.DataFrame(state["log_history"])
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as fault:
        raise LogError(
            f"{file.parent.name}/{file.name} is no state of a Trainer: {fault}"
        ) from None
    if "step" not in rows.columns:
        raise LogError(f"{file.parent.name}/{file.name} has no step in its log")
    found = rows.groupby("step", as_index=False).last()
    if "eval_loss" in found.columns and "loss" in found.columns:
        found = found.rename(columns={"loss": "train_loss"})
    return found


def _runs(states: list[Path]) -> list[Path]:
    """Folders of runs: a checkpoint's folder belongs to the one above it."""
    return sorted({_run_of(file) for file in states})


def _run_of(file: Path) -> Path:
    here = file.parent
    return here.parent if here.name.startswith("checkpoint-") else here


def _one_state(states: list[Path], run: Path) -> pd.DataFrame:
    """A run's last state, which holds the log of all before."""
    own = [file for file in states if _run_of(file) == run]
    tables = [trainer(file) for file in own]
    longest = max(tables, key=lambda table: table["step"].max())
    return longest.assign(run=run.name)


def _by_folder(files: list[Path], above: Path) -> Iterator[tuple[str, list[Path]]]:
    for folder in sorted({file.parent for file in files}):
        name = str(folder.relative_to(above)) if folder != above else above.name
        yield name, [file for file in files if file.parent == folder]


def wide(found: list[tuple[int, str, float]]) -> pd.DataFrame:
    """Events as a row for each step and a column for each tag; the last value of a step counts."""
    if not found:
        raise LogError("the events hold no scalar")
    long = pd.DataFrame(found, columns=["step", "tag", "value"])
    last = long.groupby(["step", "tag"])["value"].last()
    return last.unstack("tag").reset_index().rename_axis(columns=None)


def events(file: Path) -> list[tuple[int, str, float]]:
    """`(step, tag, value)` of each scalar in a TensorBoard file; a torn last record is left out.

    A record is its length, a checksum, an Event message, and a checksum (TensorFlow's TFRecord). Of
    the message only step (2) and summary (5) with tag (1) and simple value (2) or a tensor (8) of
    one float are read.
    """
    found: list[tuple[int, str, float]] = []
    content = file.read_bytes()
    at = 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        if length > LARGEST_RECORD:
            raise LogError(f"{file.name} is no file of TensorBoard events")
        body = content[at + 12 : at + 12 + length]
        if len(body) < length:
            break
        found += _scalars(body)
        at += 16 + length
    return found


def _scalars(event: bytes) -> Iterator[tuple[int, str, float]]:
    step, summaries = 0, []
    for number, value in _fields(event):
        if number == 2 and isinstance(value, int):
            step = value
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, value in _fields(summary):
            if number == 1 and isinstance(value, bytes):
                yield from ((step, tag, scalar) for tag, scalar in _scalar(value))


def _scalar(value: bytes) -> Iterator[tuple[str, float]]:
    tag, scalar = "", None
    for number, field in _fields(value):
        if number == 1 and isinstance(field, bytes):
            tag = field.decode(errors="replace")
        elif number == 2 and isinstance(field, bytes) and len(field) == 4:
            (scalar,) = struct.unpack("<f", field)
        elif number == 8 and isinstance(field, bytes):
            scalar = _of_tensor(field)
    if tag and scalar is not None:
        yield tag, scalar


def _of_tensor(tensor: bytes) -> float | None:
    """The one float of a TensorProto: its content (4), or its packed values (5)."""
    for number, field in _fields(tensor):
        if number in (4, 5) and isinstance(field, bytes) and len(field) == 4:
            (scalar,) = struct.unpack("<f", field)
            return float(scalar)
    return None


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and content of each field of a protocol buffer; fixed widths as bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise LogError(f"a field of kind {kind} is in no event")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
        shift += 7
    return value, at
