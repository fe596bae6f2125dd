"""A run: a folder that says what it is, how far it came, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.runs.disk import StoreFull, read_json, read_lines, room_for
from workbench.runs.identity import Identity
from workbench.runs.lease import SECONDS, Lease, LeaseLost, age, alive
from workbench.runs.writer import AlreadyFinished, Writer

if TYPE_CHECKING:
    import pandas as pd

STATES = ("new", "running", "broken", "stopped", "failed", "finished")


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        state: "new"; "running" by a living writer; "broken" off by a kill; "stopped" by the user;
            "failed" with an error; "finished". All but running and finished are resumed when
            asked for.
        step: last step noted.
        seconds: time spent, all sessions together.
        error: what went wrong.
        result: the numbers the run came to.
        fence: number of its last writer.
        updated: when it was last noted, seconds since 1970.
    """

    state: str = "new"
    step: int = 0
    seconds: float = 0.0
    error: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    fence: int = 0
    updated: float = 0.0


class Run:
    """One run folder: config, status, metrics, checkpoints, provenance.

    Reading never needs the lease and never blocks a writer.

    Args:
        folder: the folder; made when first written.
        identity: what the run is; may be left out to read a run that exists.
    """

    def __init__(self, folder: str | Path, identity: Identity | None = None) -> None:
        self.folder = Path(folder).absolute()
        self.identity = identity

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.status.state})"

    @property
    def id(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def config(self) -> dict[str, Any]:
        """What the run is: the canonical identity and the readable settings."""
        return read_json(self.folder / "config.json") or {}

    @property
    def status(self) -> Status:
        """How far the run is, as of now."""
        saved = read_json(self.folder / "status.json")
        if saved is None:
            return Status()
        known = {name: saved[name] for name in Status.__dataclass_fields__ if saved.get(name)}
        status = Status(**known)
        if status.state == "running" and not self._writer_alive():
            return Status(**{**known, "state": "broken"})
        return status

    def rows(self) -> list[dict[str, Any]]:
        """The logged rows, oldest first; of several for one step, only the last."""
        by_step: dict[Any, dict[str, Any]] = {}
        for row in read_lines(self.folder / "metrics.jsonl"):
            by_step[row.get("step")] = row
        return list(by_step.values())

    def metrics(self) -> pd.DataFrame:
        """The logged rows as a table."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def provenance(self) -> list[dict[str, Any]]:
        """Commit, packages, devices and machine of every session that wrote the run."""
        return (read_json(self.folder / "provenance.json") or {}).get("sessions", [])

    @contextmanager
    def writing(
        self,
        *,
        wait: float | None = 0.0,
        lease_seconds: float = SECONDS,
        on_lost: Callable[[], Any] | None = None,
        again: bool = False,
    ) -> Iterator[Writer]:
        """The right to write the run, for as long as the block lasts.

        An exception in the block marks the run failed, or stopped when the user asked for it, and
        leaves it to be resumed; so does leaving the block without `finish`.

        Args:
            wait: seconds to wait for another writer; None for as long as that one lives.
            lease_seconds: silence after which another writer may take over.
            on_lost: called when that has happened; a worker passes `worker.end`.
            again: write even a finished run, anew.

        Raises:
            Busy: another writer is at work.
            AlreadyFinished: the run is done, perhaps by the writer waited for.
            ValueError: the folder holds another run.
        """
        with room_for(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lease = Lease(self.folder, lease_seconds, on_lost)
        if not lease.take(wait, unless=lambda: not again and self.status.state == "finished"):
            raise AlreadyFinished(f"{self.folder}: this run is finished; read its result")
        writer = Writer(self, lease)
        try:
            writer.begin()
            yield writer
            if not writer.finished:
                writer.leave("stopped")
        except LeaseLost:
            raise
        except BaseException as error:
            state = "stopped" if _asked_for(error) else "failed"
            with suppress(LeaseLost, StoreFull):
                if not writer.finished:
                    writer.leave(state, f"{type(error).__name__}: {error}")
            raise
        finally:
            lease.give_back()

    def once(self, work: Callable[[Writer], dict[str, Any] | None], **writing: Any) -> Status:
        """Does the work unless it is done; where another does it now, waits and reads.

        Args:
            work: gets the writer and gives the result; it resumes from what is saved.
            writing: options of `writing`; `wait` is None by default.
        """
        try:
            with self.writing(**{"wait": None, **writing}) as writer:
                result = work(writer)
                if not writer.finished:
                    writer.finish(result)
        except AlreadyFinished:
            pass
        return self.status

    def check_same(self) -> None:
        """Raises ValueError where the folder holds a run of another identity."""
        saved = read_json(self.folder / "config.json")
        if saved is None or self.identity is None or saved["hash"] == self.identity.hash:
            return
        changed = _differences(saved.get("settings", {}), self.settings())
        raise ValueError(
            f"{self.folder}: holds another run ({'; '.join(changed) or 'other subject or data'}). "
            "Give another folder, or the settings of that run"
        )

    def settings(self) -> dict[str, Any]:
        """The identity as a person reads it: plain values as they are, the rest by hash."""
        assert self.identity is not None
        config = self.identity.config
        if hasattr(config, "model_dump"):
            config = config.model_dump()
        named = config if isinstance(config, dict) else {"config": config}
        seed = {"seed": self.identity.seed}
        return {**{str(name): _readable(value) for name, value in named.items()}, **seed}

    def _writer_alive(self) -> bool:
        lease = self.folder / "lease.json"
        holder = read_json(lease)
        return alive(holder, age(lease, self.folder / "lock"), SECONDS)


def _asked_for(error: BaseException) -> bool:
    by_name = any(kind.__name__ == "Cancelled" for kind in type(error).__mro__)
    return by_name or isinstance(error, KeyboardInterrupt | GeneratorExit | SystemExit)


def _readable(value: Any) -> Any:
    from workbench.runs.identity import digest

    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_readable(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _readable(part) for name, part in value.items()}
    return f"{type(value).__name__} {digest(value)[:12]}"


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    names = sorted(there.keys() | here.keys())
    changed = [name for name in names if there.get(name) != here.get(name)]
    return [f"{name} is {there.get(name)!r} there, {here.get(name)!r} here" for name in changed]
