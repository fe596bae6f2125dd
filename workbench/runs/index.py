"""An index of all runs in one file: a cache, made again from the folders when need be."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from workbench.runs.run import Run

LAYOUT = 1
_MAKE = "CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, stamp TEXT, record TEXT)"


class Index:
    """The records of all runs below a folder, each read again only when its files have changed.

    Where the file is corrupt it is thrown away; where it cannot be written, the folders are read.

    Args:
        file: the SQLite file.
        runs: the folder with one folder a run.
    """

    def __init__(self, file: Path, runs: Path) -> None:
        self.file = file
        self.runs = runs

    def records(self) -> list[dict[str, Any]]:
        """One record a run, newest last."""
        try:
            found = self._refreshed()
        except sqlite3.DatabaseError as error:
            # Busy, read-only and full are OperationalErrors: the file may be well, so it stays.
            if not isinstance(error, sqlite3.OperationalError):
                self.file.unlink(missing_ok=True)
            found = [_record(Run(folder)) for folder in self._folders()]
        return sorted(found, key=lambda record: (record["created"], record["id"]))

    def _refreshed(self) -> list[dict[str, Any]]:
        folders = {folder.name: folder for folder in self._folders()}
        stamps = {name: _stamp(folder) for name, folder in folders.items()}
        with closing(sqlite3.connect(self.file, timeout=10)) as database:
            if database.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
                database.execute("DROP TABLE IF EXISTS runs")
                database.execute(_MAKE)
                database.execute(f"PRAGMA user_version = {LAYOUT}")
            saved = {row[0]: row[1:] for row in database.execute("SELECT * FROM runs")}
            gone = [(name,) for name in saved.keys() - folders.keys()]
            fresh = {
                name: _record(Run(folders[name]))
                for name, stamp in stamps.items()
                if name not in saved or saved[name][0] != stamp
            }
            if gone or fresh:
                rows = [(name, stamps[name], json.dumps(fresh[name])) for name in fresh]
                with database:
                    database.executemany("DELETE FROM runs WHERE id = ?", gone)
                    database.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", rows)
        known = {name: json.loads(row[1]) for name, row in saved.items() if name in folders}
        records = {**known, **fresh}
        for name, record in records.items():
            if record["state"] == "running":  # a killed writer leaves no trace in the files
                records[name] = _record(Run(folders[name]))
        return list(records.values())

    def _folders(self) -> list[Path]:
        if not self.runs.is_dir():
            return []
        return [place for place in self.runs.iterdir() if (place / "config.json").is_file()]


def _stamp(folder: Path) -> str:
    parts = []
    for name in ("config.json", "status.json"):
        try:
            stat = (folder / name).stat()
            parts.append(f"{stat.st_mtime_ns}:{stat.st_size}:{stat.st_ino}")
        except FileNotFoundError:
            parts.append("none")
    return " ".join(parts)


def _record(run: Run) -> dict[str, Any]:
    status, config = run.status, run.config
    sessions = run.provenance()
    last = sessions[-1] if sessions else {}
    return {
        "id": run.id,
        "state": status.state,
        "step": status.step,
        "seconds": status.seconds,
        "error": status.error,
        "date": last.get("date", ""),
        "device": ", ".join(sorted(set(last.get("devices", [])))),
        "commit": last.get("commit"),
        "created": (run.folder / "config.json").stat().st_mtime,
        **{f"config.{name}": value for name, value in config.get("settings", {}).items()},
        **{f"result.{name}": value for name, value in status.result.items()},
    }
