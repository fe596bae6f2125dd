"""Which runs a page works on: the table, its method, how FLOPs are counted, its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from workbench.labs.scaling import accounting, brought, tables
from workbench.labs.scaling.brought import Source
from workbench.labs.scaling.columns_form import column_knobs, corrected
from workbench.labs.scaling.tables import Table
from workbench.panels.view import KnobGroup, Values
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    from workbench.sweeps import Study

RUNS = "runs"
GIVEN, SHIPPED, MADE_UP, FILE = "given", "sweep", "simulated", "file"
STUDY = "study:"
"""Before the name of a study of the store."""
FIRST, ALL = "first", "all"


class Runs(Knobs):
    """Base of the choice of runs; sources, methods and FLOP counts come with the panel."""

    source: str
    file: str


class Shelf:
    """The tables a panel can turn to, each read once.

    Args:
        source: a path, a data frame or a study; None for what ships.

    Raises:
        LogError: a file that cannot be read, or a study without a finished run.
        TypeError: something else.
    """

    def __init__(self, source: Any = None) -> None:
        self.first = tables.opened(source)
        self.file = str(source) if isinstance(source, str | Path) else ""
        self.given = None if self.file else source
        self.studies = {f"{STUDY}{one.name}": one for one in _studies()}
        self._sources: dict[tuple[Any, ...], Source] = {}
        self._read: dict[tuple[Any, ...], Table] = {}

    @property
    def sources(self) -> dict[str, str]:
        """Sources by their key, for the form; the one that opens first."""
        found = {}
        if self.given is not None:
            found[GIVEN] = self.first.title
        elif self.file:
            found[FILE] = "A file"
        sweep = tables.shipped_sweep()
        if sweep is not None:
            found[SHIPPED] = sweep.title
        own = {key: f"Sweep {study.name}" for key, study in self.studies.items()}
        return {**found, MADE_UP: "Simulated", **own, FILE: "A file"}

    def table(self, knobs: Runs) -> Table:
        """The chosen table.

        Raises:
            LogError: a file that cannot be read, or a study without a finished run.
            ValueError: no file is named, or a column that is not there.
        """
        if knobs.source == SHIPPED and (sweep := tables.shipped_sweep()) is not None:
            return sweep
        if self._chosen(knobs) is None and knobs.source != FILE:
            return tables.simulated()
        key, source = self._source(knobs)
        corrections = corrected(knobs, source.raw)
        points = str(getattr(knobs, "points", brought.LAST))
        key = (*key, *corrections, points)
        if key not in self._read:
            self._read[key] = brought.mapped(source, corrections, points)
        return self._read[key]

    def _chosen(self, knobs: Runs) -> Any:
        """The data frame or the study of a source; None for the others."""
        return self.given if knobs.source == GIVEN else self.studies.get(knobs.source)

    def _source(self, knobs: Runs) -> tuple[tuple[Any, ...], Source]:
        """What is brought, read anew where it has changed, and its key."""
        given = self._chosen(knobs)
        if given is None:
            if not knobs.file.strip():
                raise ValueError("File is empty; name a CSV, a log or a folder of logs")
            given = knobs.file.strip()
        key = (knobs.source, *_state(given))
        if key not in self._sources:
            self._sources[key] = brought.source_of(given)
        return key, self._sources[key]

    def group(
        self, *, columns: bool = False, points: bool = False, together: bool = False
    ) -> KnobGroup:
        """The form's first group.

        Args:
            columns: whether a brought table's columns can be put right in it.
            points: whether all points of a log can be taken.
            together: for all methods at once, each counted for itself.
        """
        sources, methods = self.sources, self.first.methods
        kinds: dict[str, Any] = {
            "source": (Literal[tuple(sources)], knob(
                next(iter(sources)), label="Table", choices=sources,
                help="Runs that a law is fitted to: a sweep of this user’s store, or a file of "
                "yours, read where it lies.",
            )),
            "file": (str, knob(
                self.file, label="File", visible_when={"source": FILE},
                help="A CSV, TSV, JSON lines or Parquet file, an export of Weights & Biases, or a "
                "folder of TensorBoard or Trainer logs.",
            )),
        }  # fmt: skip
        seen = {"source": tuple(key for key in sources if key not in (SHIPPED, MADE_UP))}
        if not together:
            kinds |= _one_method(methods, seen)
        kinds["count"] = _flop_count()
        if points:
            kinds |= {"points": (Literal["last", "all"], knob(
                brought.LAST, label="Points of a log", choices={"last": "Last", "all": "All"},
                visible_when=seen,
                help="Of a log by step the last point of each run, or all: those of a run are not "
                "independent, so that clusters are drawn anew.",
            ))}  # fmt: skip
        if columns:
            kinds |= column_knobs(seen)
        return KnobGroup(RUNS, "Runs", create_model("Runs", __base__=Runs, **kinds))


def _one_method(methods: Sequence[str], seen: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "method": (Literal[(FIRST, ALL, *methods)], knob(
            FIRST, label="Method", choices={FIRST: "The first", ALL: "All together"},
            help="Runs of one method; a law of several at once is on the page that compares.",
        )),
        "by_name": (str, knob(
            "", label="Method by name", visible_when=dict(seen),
            help="A method of a table that was brought; empty for the choice above.",
        )),
        "size": (Literal["all", "body"], knob(
            "all", label="N counts", choices={"all": "All", "body": "No embedding"},
            help="Which parameters a law reads; without the embedding needs n_non_embedding.",
        )),
    }  # fmt: skip


def _flop_count() -> tuple[Any, Any]:
    counts = [accounting.PLAIN, *accounting.CONVENTIONS, accounting.GIVEN]
    return Literal[tuple(counts)], knob(
        accounting.PLAIN, label="FLOP count", choices=dict(accounting.SHORT),
        help="How training compute is counted, everywhere on this page: Kaplan without embedding "
        "and head, standard with the head, attention with causal scores as well, total with "
        "everything, detailed every product, as given the table’s own FLOP. All but 6 N D need "
        "their column, such as flops_total.",
    )  # fmt: skip


def runs_knobs(values: Values) -> Runs:
    """Which runs."""
    knobs = values[RUNS]
    assert isinstance(knobs, Runs), "the form's first group"
    return knobs


def chosen_methods(knobs: Runs, table: Table) -> Sequence[str]:
    """Names of the methods whose runs are looked at; none where the table names none.

    Raises:
        ValueError: a method that the table does not have.
    """
    method = str(getattr(knobs, "by_name", "")).strip() or str(getattr(knobs, "method", ALL))
    if not table.methods or method == ALL:
        return table.methods
    if method == FIRST:
        return table.methods[:1]
    if method not in table.methods:
        raise ValueError(f"Method {method!r} is none of {', '.join(table.methods)}")
    return (method,)


def size_column(knobs: Runs) -> str:
    """The column of parameters that a law reads."""
    return "n_non_embedding" if getattr(knobs, "size", "all") == "body" else "n_params"


def count_of(knobs: Runs) -> str:
    """How FLOPs are counted."""
    return str(getattr(knobs, "count", accounting.PLAIN))


def _studies() -> list[Study]:
    """Of this user's store, the newest first."""
    from workbench.sweeps import studies

    return list(reversed(studies()))


def _state(given: Any) -> tuple[Any, ...]:
    """What changes where a source has: a file's time, or the finished runs of a study."""
    if isinstance(given, str):
        return given, _changed(given)
    if hasattr(given, "columns"):
        return ()
    done = [one["id"] for one in given.records() if one["state"] == "finished"]
    return given.name, len(given.plan), *done


def _changed(file: str) -> float:
    """When a file was last written, so that a new version is read."""
    try:
        return Path(file).expanduser().stat().st_mtime
    except OSError:
        return 0.0
