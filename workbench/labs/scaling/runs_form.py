"""Which runs a page works on: the table, its method, how FLOPs are counted, its columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from workbench.labs.scaling import accounting, tables
from workbench.labs.scaling.tables import Table
from workbench.panels.view import KnobGroup, Values
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    from workbench.scaling.importing import Choice

RUNS = "runs"
GIVEN, SHIPPED, MADE_UP, FILE = "given", "sweep", "simulated", "file"
FIRST, ALL = "first", "all"
AS_PROPOSED = "proposed"

SCALES = {AS_PROPOSED: "As proposed", "1": "Ones", "1e3": "Thousands", "1e6": "Millions",
          "1e9": "Billions"}  # fmt: skip
UNITS = {AS_PROPOSED: "As proposed", "nats": "Nats", "bits": "Bits", "perplexity": "Perplexity"}
COUNTED = {AS_PROPOSED: "As proposed", "total": "All", "body": "No embedding"}


class Runs(Knobs):
    """Base of the choice of runs; sources, methods and FLOP counts come with the panel."""

    source: str
    file: str


class Columns(Runs):
    """The same, with what a column of a brought table is where the proposal is wrong."""

    size_column: str = ""
    size_scale: str = AS_PROPOSED
    size_counts: str = AS_PROPOSED
    tokens_column: str = ""
    tokens_scale: str = AS_PROPOSED
    loss_column: str = ""
    loss_unit: str = AS_PROPOSED


class Shelf:
    """The tables a panel can turn to, each read once.

    Args:
        source: a path or a data frame; None for what ships.

    Raises:
        LogError: a file that cannot be read.
        TypeError: no path and no data frame.
    """

    def __init__(self, source: Any = None) -> None:
        self.first = tables.opened(source)
        self.file = str(source) if isinstance(source, str | Path) else ""
        self.given = self.first if source is not None and not self.file else None
        self._read: dict[tuple[Any, ...], Table] = {}

    @property
    def sources(self) -> dict[str, str]:
        """Sources by their key, for the form; the one that opens first."""
        found = {}
        if self.given is not None:
            found[GIVEN] = self.given.title
        elif self.file:
            found[FILE] = "A file"
        sweep = tables.shipped_sweep()
        if sweep is not None:
            found[SHIPPED] = sweep.title
        return {**found, MADE_UP: "Simulated", FILE: "A file"}

    def table(self, knobs: Runs) -> Table:
        """The chosen table.

        Raises:
            LogError: a file that cannot be read.
            ValueError: no file is named, or a column that is not there.
        """
        if knobs.source == GIVEN and self.given is not None:
            return self.given
        if knobs.source == SHIPPED and (sweep := tables.shipped_sweep()) is not None:
            return sweep
        if knobs.source != FILE:
            return tables.simulated()
        if not knobs.file.strip():
            raise ValueError("File is empty; name a CSV, a log or a folder of logs")
        corrections = corrected(knobs)
        key = (knobs.file.strip(), _changed(knobs.file.strip()), *corrections)
        if key not in self._read:
            self._read[key] = tables.brought(knobs.file.strip(), corrections)
        return self._read[key]

    def group(self, *, columns: bool = False, together: bool = False) -> KnobGroup:
        """The form's first group.

        Args:
            columns: whether a brought table's columns can be put right in it.
            together: for all methods at once, counted as 6 N D.
        """
        sources, methods = self.sources, self.first.methods
        kinds: dict[str, Any] = {
            "source": (Literal[tuple(sources)], knob(
                next(iter(sources)), label="Table", choices=sources,
                help="Runs that a law is fitted to; a file of yours is read where it lies.",
            )),
            "file": (str, knob(
                self.file, label="File", visible_when={"source": FILE},
                help="A CSV, TSV, JSON lines or Parquet file, an export of Weights & Biases, or a "
                "folder of TensorBoard or Trainer logs.",
            )),
        }  # fmt: skip
        if not together:
            kinds |= _one_method(methods)
        if columns:
            kinds |= _column_knobs()
        base = Columns if columns else Runs
        return KnobGroup(RUNS, "Runs", create_model("Runs", __base__=base, **kinds))


def _one_method(methods: Sequence[str]) -> dict[str, Any]:
    counts = [accounting.PLAIN, *accounting.CONVENTIONS]
    return {
        "method": (Literal[(FIRST, ALL, *methods)], knob(
            FIRST, label="Method", choices={FIRST: "The first", ALL: "All together"},
            help="Runs of one method; a law of several at once is on the page that compares.",
        )),
        "size": (Literal["all", "body"], knob(
            "all", label="N counts", choices={"all": "All", "body": "No embedding"},
            help="Which parameters a law reads; without the embedding needs n_non_embedding.",
        )),
        "count": (Literal[tuple(counts)], knob(
            accounting.PLAIN, label="FLOP count",
            choices=dict(accounting.SHORT),
            help="How training compute is counted, everywhere on this page: Kaplan without "
            "embedding and head, standard with the head, attention with causal scores as well, "
            "total with everything, detailed every product. All but 6 N D need their column, such "
            "as flops_total.",
        )),
    }  # fmt: skip


def _column_knobs() -> dict[str, Any]:
    seen = {"source": FILE}

    def words(label: str, what: str) -> Any:
        return (str, knob("", label=label, visible_when=seen, help=f"Column of {what}, by name; "
                          "empty where the proposal is right."))  # fmt: skip

    def choice(label: str, choices: dict[str, str], help: str) -> Any:
        return (Literal[tuple(choices)], knob(AS_PROPOSED, label=label, choices=choices,
                                              visible_when=seen, help=help))  # fmt: skip

    return {
        "size_column": words("Column of N", "the parameters"),
        "size_scale": choice("N is in", SCALES, "What a plain number of parameters counts."),
        "size_counts": choice("Column N has", COUNTED, "Whether the embedding is among them."),
        "tokens_column": words("Column of D", "the training tokens"),
        "tokens_scale": choice("D is in", SCALES, "What a plain number of tokens counts."),
        "loss_column": words("Column of loss", "the loss"),
        "loss_unit": choice("Loss is in", UNITS, "Bits and perplexities become nats."),
    }


def corrected(knobs: Runs) -> list[Choice]:
    """What was put right by hand, as choices; columns left empty stay as proposed."""
    from workbench.scaling.importing import propose, put_right, read, recall

    if not isinstance(knobs, Columns):
        return []
    changes = {target: fields for target, fields in _changes(knobs).items() if fields}
    if not changes:
        return []
    raw = read(knobs.file.strip())
    choices = recall(raw) or propose(raw)
    for target, fields in changes.items():
        if "column" not in fields and target not in {one.target for one in choices}:
            raise ValueError(f"No column was proposed for {target}; name one first")
        choices = put_right(choices, target, **fields)
    return [one for one in choices if one.target in changes]


def _changes(knobs: Columns) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {"n_params": {}, "n_tokens": {}, "loss": {}}
    for target, column in (("n_params", knobs.size_column), ("n_tokens", knobs.tokens_column),
                           ("loss", knobs.loss_column)):  # fmt: skip
        if column.strip():
            found[target]["column"] = column.strip()
    for target, scale in (("n_params", knobs.size_scale), ("n_tokens", knobs.tokens_scale)):
        if scale != AS_PROPOSED:
            found[target]["scale"] = float(scale)
    if knobs.size_counts != AS_PROPOSED:
        found["n_params"]["embedding"] = knobs.size_counts == "total"
    if knobs.loss_unit != AS_PROPOSED:
        found["loss"]["unit"] = knobs.loss_unit
    return found


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
    method = str(getattr(knobs, "method", ALL))
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


def _changed(file: str) -> float:
    """When a file was last written, so that a new version is read."""
    try:
        return Path(file).expanduser().stat().st_mtime
    except OSError:
        return 0.0
