"""A study: the runs of a sweep in one folder, seen and steered by any process from files alone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.runs import Run, Store
from workbench.runs.disk import read_json, write_json
from workbench.sweeps import owner
from workbench.sweeps.progressing import Progress, seconds_left
from workbench.sweeps.records import record_of

if TYPE_CHECKING:
    import pandas as pd

WISHES = ("go", "pause", "stop")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,99}")


class Study:
    """The folder `studies/<name>/` of a store: which runs, who drives them, and what is wished.

    Reading needs no lease and blocks nobody, so a notebook may be closed and another look on.

    Args:
        name: of the study.
        store: where its runs are; the user's store where left out.

    Raises:
        ValueError: a name that is no plain folder name.
    """

    def __init__(self, name: str, store: Store | str | Path | None = None) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"study is {name!r}; give a name of letters, digits, '_', '.', '-' and spaces"
            )
        self.name = name
        self.store = store if isinstance(store, Store) else Store(store)
        self.folder = self.store.folder / "studies" / name
        self._ended: dict[str, tuple[int, dict[str, Any]]] = {}
        self._rows: dict[str, tuple[int, list[dict[str, Any]]]] = {}

    def __repr__(self) -> str:
        return f"Study({self.name!r}: {self.progress()})"

    def _repr_html_(self) -> str:
        html: str = self.table().to_html(index=False, float_format=lambda value: f"{value:.4g}")
        return f"<p>{self.name}: {self.progress()}</p>{html}"

    @property
    def plan(self) -> list[dict[str, Any]]:
        """Of each run: `id`, `settings`, `job` (its number), `cost`, and `fence` (of its last
        writer when the sweep was called).
        """
        found: list[dict[str, Any]] = self._saved().get("runs", [])
        return found

    @property
    def version(self) -> str:
        """Fingerprint of the function whose runs these are."""
        version: str = self._saved().get("version", "")
        return version

    def runs(self) -> list[Run]:
        """All runs of the study, in the order of the grid."""
        return [self._run(one["id"]) for one in self.plan]

    def records(self) -> list[dict[str, Any]]:
        """Of each run: id, state, settings, result, seconds, share done, note, error, sessions.

        States are those of a run, except that one not begun or broken off is "waiting", and "lost"
        where it is not tried again.
        """
        lost = self._lost()
        return [self._record(one, lost) for one in self.plan]

    def table(self) -> pd.DataFrame:
        """One row a run: run, state, seconds, settings, results, note, error, sessions.

        A result named like a setting, or either named like one of the other columns, is
        `result.<name>` or `config.<name>`.
        """
        import pandas as pd

        rows = []
        for one in self.records():
            row = {"run": one["id"], "state": one["state"]}
            last = {name: one[name] for name in ("seconds", "note", "error", "sessions")}
            _add(row, one["settings"], "config", last)
            _add(row, one["result"], "result", last)
            rows.append({**row, **last})
        columns = list(dict.fromkeys(name for row in rows for name in row if name not in _LAST))
        return pd.DataFrame(rows, columns=[*columns, *_LAST] if rows else [*_FIRST, *_LAST])

    def curves(self, metrics: Iterable[str] | None = None) -> pd.DataFrame:
        """What the runs logged so far, one row a step of a run, with the run's settings.

        Args:
            metrics: which; all where left out.
        """
        import pandas as pd

        wanted = None if metrics is None else {"step", *metrics}
        rows = []
        for one in self.plan:
            about: dict[str, Any] = {"run": one["id"]}
            _add(about, one["settings"], "config", ("step",))
            for row in self._rows_of(one["id"]):
                shown = {n: v for n, v in row.items() if wanted is None or n in wanted}
                step = {"step": shown.pop("step", None)}
                rows.append(_add({**about, **step}, shown, "result", ()))
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["run", "step"])

    def progress(self) -> Progress:
        """Runs by state, and the time left."""
        found = self.records()
        states = [one["state"] for one in found]
        counts = {name: states.count(name) for name in set(states)}
        return Progress(
            **counts,
            seconds_left=seconds_left(found),
            driven=owner.is_driven(self.folder),
            wish=self.wish,
        )

    @property
    def wish(self) -> str:
        """What the jobs are asked to do: "go", "pause" or "stop"."""
        said = (read_json(self.folder / "control.json") or {}).get("wish")
        return said if said in WISHES else "go"

    def pause(self) -> None:
        """Asks the jobs to wait at their next report or row; those not begun wait as well."""
        self._ask("pause")

    def go(self) -> None:
        """Asks paused jobs to go on."""
        self._ask("go")

    def stop(self) -> None:
        """Asks the jobs to end; what is saved stays, and the same sweep goes on from there."""
        self._ask("stop")

    def _ask(self, wish: str) -> None:
        if not self.folder.is_dir():
            raise FileNotFoundError(f"study {self.name!r}: there is none in {self.store.folder}")
        write_json(self.folder / "control.json", {"wish": wish, "time": time.time()})

    def _saved(self) -> dict[str, Any]:
        return read_json(self.folder / "study.json") or {}

    def _lost(self) -> dict[str, str]:
        return read_json(self.folder / "lost.json") or {}

    def _run(self, run_id: str) -> Run:
        return Run(self.store.folder / "runs" / run_id)

    def _rows_of(self, run_id: str) -> list[dict[str, Any]]:
        run = self._run(run_id)
        stamp = _stamp(run.folder / "metrics.jsonl")
        if self._rows.get(run_id, (-1, []))[0] != stamp:
            self._rows[run_id] = (stamp, run.rows())
        return self._rows[run_id][1]

    def _record(self, one: dict[str, Any], lost: Mapping[str, str]) -> dict[str, Any]:
        run = self._run(one["id"])
        stamp = _stamp(run.folder / "status.json")
        known = self._ended.get(run.id)
        if known is not None and known[0] == stamp:
            return {**known[1], **one}
        record = record_of(run, one["fence"], lost.get(run.id, ""))
        if record["state"] == "finished":
            self._ended[run.id] = (stamp, record)
        return {**record, **one}


_FIRST = ("run", "state")
_LAST = ("seconds", "note", "error", "sessions")


def studies(store: Store | str | Path | None = None) -> list[Study]:
    """All studies of a store, the newest last."""
    store = store if isinstance(store, Store) else Store(store)
    files = (store.folder / "studies").glob("*/study.json")
    found = sorted(files, key=lambda file: file.stat().st_mtime)
    return [Study(file.parent.name, store) for file in found]


def _stamp(file: Path) -> int:
    """When a file was last written; 0 where there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _add(
    row: dict[str, Any], values: Mapping[str, Any], prefix: str, taken: Iterable[str]
) -> dict[str, Any]:
    others = set(taken)
    for name, value in values.items():
        free = name not in row and name not in others
        row[name if free else f"{prefix}.{name}"] = value
    return row
