"""A mixer of one's own beside its rivals: recall, a small model of text, and cost against length.

    from workbench.language import beside_rivals, mixer

    @mixer
    class Mine: ...

    print(beside_rivals(Mine))

Rivals are not trained again: their rows are those of the shipped studies `recall` and `micro`, and
one's own runs have the same data, sizes and search; recall has the first seed alone. Plan for a
mixer with a parallel form: recall 2.5 runs' worth, three to five minutes on one core by the seconds
of that study's rivals; text 4.5 of 30 k parameters, two to three on two cores; cost, one.
"""

from __future__ import annotations

import html
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import shipped
from workbench.language.checking import _config
from workbench.language.published import ladder
from workbench.language.studies import micro, recall, table
from workbench.language.studies.design import Design, Entry
from workbench.language.studies.gates import text_study
from workbench.language.studies.ranking import Ranking, ranking, without
from workbench.language.studies.running import Found, results
from workbench.progress import Cancelled, Deadline, Report, part, silent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.language.mixing import MixerConfig
    from workbench.runs import Store

SHIPPED = "data/language-lab"
RECALL_SEEDS = (0,)
"""One, so that all fits ten minutes: recall is then shown without an interval."""

COST_WIDTH = 64
COST_LENGTHS = (128, 256, 512, 1024, 2048)
COST_RIVALS = ("attention", "gla")


@dataclass
class Beside:
    """What is known of a mixer and its rivals.

    Attributes:
        mixer: its name.
        recall: share answered, with `name`, `pairs`, `seed`, `accuracy`; rivals' rows from the
            shipped study.
        text: bits per byte at 30 k parameters, likewise.
        cost: `name`, `length`, `macs` a token of mixing, `state` bytes, `seconds` of one layer.
        missing: what could not be said, and why.
        seconds: that it took.
    """

    mixer: str
    recall: list[Mapping[str, Any]] = field(default_factory=list)
    text: list[Mapping[str, Any]] = field(default_factory=list)
    cost: list[Mapping[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def rankings(self) -> list[Ranking]:
        """The orders within each number of pairs, and of the texts."""
        found: list[Ranking] = []
        if self.recall:
            found += ranking(self.recall, "accuracy", better="higher", within="pairs", margin=0.01)
        if self.text:
            found += ranking(self.text, "bits_per_byte", better="lower")
        return found

    def tables(self) -> dict[str, pd.DataFrame]:
        """The orders and the cost, as tables."""
        import pandas as pd

        orders = [one.table() for one in self.rankings()]
        named = {f"{one.value}, {one.within}": rows for one, rows in zip(
            self.rankings(), orders, strict=True
        )}  # fmt: skip
        return {**named, "cost": pd.DataFrame(self.cost)} if self.cost else named

    def __str__(self) -> str:
        parts = [f"{self.mixer} beside its rivals, {self.seconds:.0f} s"]
        for title, rows in self.tables().items():
            shown = rows.to_string(index=False, float_format=lambda v: f"{v:.4g}")
            parts.append(f"{title}\n{shown}")
        return "\n\n".join([*parts, *self.missing])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [
            f"<h4>{html.escape(title)}</h4>"
            + rows.to_html(index=False, float_format=lambda v: f"{v:.4g}")
            for title, rows in self.tables().items()
        ]
        notes = [f"<p>{html.escape(note)}</p>" for note in self.missing]
        return "".join([*parts, *notes])


def beside_rivals(
    mixer: Any,
    *,
    minutes: float | None = 10.0,
    store: Store | None = None,
    studies: str | Path | None = None,
    report: Report = silent,
    tiny: bool = False,
) -> Beside:
    """Recall, a micro-ladder and cost against length of a mixer, beside its rivals.

    Args:
        mixer: what `workbench.language.check` takes.
        minutes: when to stop, after the update or timing under way; what is done is shown, and
            asking again goes on from there.
        store: where the runs are kept; the user's where left out.
        studies: folder of the rivals' tables, those that ship where left out.
        report: progress.
        tiny: a few updates, to see that it works.

    Raises:
        TypeError: no mixer.
        ValueError: a mixer too large for the sizes here.
    """
    *_, found = growing(
        mixer, minutes=minutes, store=store, studies=studies, report=report, tiny=tiny
    )
    return found


def growing(
    mixer: Any,
    *,
    minutes: float | None = 10.0,
    store: Store | None = None,
    studies: str | Path | None = None,
    report: Report = silent,
    tiny: bool = False,
) -> Iterator[Beside]:
    """What is known so far: the rivals' rows at first, then more after each part and each run.

    Arguments and errors as of `beside_rivals`.
    """
    from workbench.runs import Store

    config = _config(mixer)
    name = str(getattr(config, "name", config.kind))
    missing: list[str] = []
    began, deadline = time.monotonic(), Deadline(minutes, report)
    kept = Store() if store is None else store
    designs = [
        replace(recall.recall_study("recall", (recall.entry("own", name, config),)),
                seeds=RECALL_SEEDS),
        text_study("micro", (Entry("own", name, micro.SIZE, ladder(config, micro.SIZE)),)),
    ]  # fmt: skip
    rivals = [_rivals(design, studies, missing) for design in designs]
    theirs = {str(row["name"]) for rows in rivals for row in rows}
    found = Beside(_apart(name, {*theirs, *micro.NAMES.values()}), missing=missing)
    found.recall, found.text = map(list, rivals)
    mine = [
        replace(design, entries=tuple(replace(one, name=found.mixer) for one in design.entries))
        for design in designs
    ]
    yield found
    try:
        found.cost = cost(config, found.mixer, part(deadline, 0, 3), tiny=tiny)
        yield found
        for place, (design, rows) in enumerate(zip(mine, (found.recall, found.text), strict=True)):
            chosen = design.tiny() if tiny else design
            for known in _run(chosen, missing, kept, part(deadline, 1 + place, 3)):
                rows[:] = [*known, *rivals[place]]
                found.seconds = time.monotonic() - began
                yield found
    except Cancelled as reason:
        missing.append(f"{reason}: asking again goes on from here")
    found.seconds = time.monotonic() - began
    yield found


def _apart(name: str, taken: Collection[str]) -> str:
    """A name that no rival has."""
    while name in taken:
        name += " (yours)"
    return name


def _run(
    design: Design, missing: list[str], store: Store, report: Report
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Rows of the runs that are done, after each; what diverged is told in `missing`."""
    known = Found()
    try:
        for known in results(design, store, report):
            yield without(known.runs, known.diverged)
    finally:
        missing += [f"{design.name}: {line}" for line in table.diverged(known.diverged)]


def _rivals(
    design: Design, studies: str | Path | None, missing: list[str]
) -> Sequence[Mapping[str, Any]]:
    """Rows of the rivals, with the seeds of one's own; none where no study is at hand."""
    try:
        root = shipped.path(SHIPPED) if studies is None else Path(studies)
        rows, card = table.read(root / design.name)
    except FileNotFoundError:
        missing.append(
            f"no table of the study {design.name!r} is at hand, so rivals are left out; make it "
            f"by python -m workbench.language.studies.{design.name}"
        )
        return []
    chosen = rows[rows["seed"].isin(design.seeds)]
    read = [{str(k): v for k, v in row.items()} for row in chosen.to_dict("records")]
    gone = card.get("diverged", [])
    missing += [f"{design.name}: {line}" for line in table.diverged(gone)]
    return without(read, gone)


def cost(
    config: MixerConfig, name: str, report: Report = silent, *, tiny: bool = False
) -> list[Mapping[str, Any]]:
    """Multiply-adds, state and time of one layer against length, beside attention and GLA.

    All lengths of all mixers are timed by turns; at each, the median of five. A mixer named like
    one of the two is told from it by "(yours)".
    """
    from workbench.language.checking.subject import Subject
    from workbench.language.mixers import mixer_of
    from workbench.measure import timing

    rivals = {micro.NAMES[kind]: mixer_of({"kind": kind, "num_heads": 4}) for kind in COST_RIVALS}
    every = {_apart(name, rivals): config, **rivals}
    subjects = {key: Subject(one, COST_WIDTH) for key, one in every.items()}
    lengths = COST_LENGTHS[:2] if tiny else COST_LENGTHS
    thunks, rows = {}, []
    for key, subject in subjects.items():
        for length in lengths:
            x = subject.texts(1, length)
            thunks[f"{key} {length}"] = lambda s=subject, x=x: s.whole(x).block_until_ready()
            rows.append({
                "name": key, "length": length,
                "macs": subject.config.macs(COST_WIDTH, length),
                "state": subject.config.state_bytes(COST_WIDTH, length),
            })  # fmt: skip
    found = timing.interleaved(thunks, repeats=3 if tiny else 5, report=report)
    return [{**row, "seconds": found[f"{row['name']} {row['length']}"].median} for row in rows]
