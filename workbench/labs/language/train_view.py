"""Train and watch: architectures side by side, paused, resumed and branched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.labs.language import claims, recorded, train_shown
from workbench.labs.language.lab_view import LanguageView
from workbench.labs.language.own_code import code_of
from workbench.labs.language.train_form import (
    BRANCH,
    NOTHING,
    PRESETS,
    TRAINED,
    branch,
    groups,
    kinds,
    shared,
)
from workbench.labs.language.train_live import Progress, watch
from workbench.labs.language.train_runs import Planned, planned, to_train
from workbench.labs.language.train_shown import Curve
from workbench.measure import device
from workbench.panels.panel import Panel
from workbench.panels.picture import Basis, ChartContent, EmptyContent, Picture
from workbench.panels.view import Problem, Slot, Values
from workbench.progress import Report

if TYPE_CHECKING:
    from workbench.datasets import Dataset, Text
    from workbench.language.mixing import MixerConfig
    from workbench.runs import Store


def train(
    *mixers: MixerConfig,
    text: str | Path = "",
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> Panel:
    """The panel in which models train side by side.

    Args:
        mixers: of one's own, made by `workbench.language.mixer`.
        text: a file to learn from; the standard library's English where there is none.
        settings: what "Copy settings" gave.

    Raises:
        DatasetError: a file that is no text, or too short.
    """
    return Panel(TrainView(mixers, text), settings=settings)


class TrainView(LanguageView):
    """Byte-level models that differ in their mixers alone, on the same rows in the same order.

    Args:
        mixers, text: see `train`.
        store: where runs are kept; the user's when None.
    """

    title = "Train and watch"
    opener = "train"
    verb = "Train"
    waits = 3600
    presets = PRESETS
    layout = (
        (Slot("learning", "chart"),),
        (Slot("runs", "table", folds=False),),
        (Slot("seconds", "chart", 1.0), Slot("flops", "chart", 1.0)),
    )

    def __init__(
        self,
        mixers: Sequence[MixerConfig] = (),
        text: str | Path = "",
        store: Store | None = None,
    ) -> None:
        self.mixers = {f"own_{place}": mixer for place, mixer in enumerate(mixers)}
        names = {key: str(getattr(mixer, "name", "Yours")) for key, mixer in self.mixers.items()}
        self.names = {**TRAINED, **names}
        self.groups = groups(names)
        self.file = str(text)
        source = Path(text).name if text else "English of the standard library"
        self.study_line = f"Byte-level models · {source}"
        self._store = store
        self._text: Dataset[Text] | None = _read(self.file) if text else None

    def arguments(self) -> list[str]:
        """The mixers as they stand in the notebook, and the file."""
        own = [code_of(mixer).expression for mixer in self.mixers.values()]
        return [*own, *([f"text={self.file!r}"] if self.file else [])]

    def before(self) -> list[str]:
        """What the mixers need."""
        return [line for mixer in self.mixers.values() for line in code_of(mixer).before]

    @property
    def store(self) -> Store:
        """Runs of this panel have a store of their own: their threads wait for each other."""
        if self._store is None:
            from workbench.home import data
            from workbench.runs import Store

            self._store = Store(data() / "train-and-watch")
        return self._store

    @property
    def text(self) -> Dataset[Text]:
        """What is learnt, read once."""
        if self._text is None:
            self._text = _read("")
        return self._text

    def check(self, values: Values) -> list[Problem]:
        """No run at all."""
        if kinds(values) or branch(values):
            return []
        return [Problem("error", "", "No run is chosen; choose at least one")]

    def predict(self, values: Values) -> Picture | None:
        """Curves that ship for these settings; none before a run otherwise."""
        known = None if self.file or self.mixers else recorded.curves(values)
        if known is not None:
            curves = [Curve(**one) for one in known.rows]
            picture = self._picture(values, curves, known.text_bytes, "recorded")
            return Picture(
                picture.contents, claim=picture.claim, basis="recorded",
                details=picture.details, when=known.date, device=known.device,
            )  # fmt: skip
        words = f"{len(kinds(values))} runs of {shared(values).steps} updates, side by side."
        if parent := branch(values):
            words = f"{self.names[parent['of']]} goes on from its last checkpoint."
        return Picture(
            {"learning": EmptyContent(train_shown.LEARNING, words, self.verb)},
            claim=claims.gates(recorded.study("gates")),
        )

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """Every run by turns, from where it was left; a picture about twice a second."""
        for curves in self.curves(values, report):
            yield self._picture(values, curves, self.text.card.unique_bytes, "measured")

    def curves(self, values: Values, report: Report) -> Iterator[list[Curve]]:
        """Trains, and gives the runs that have begun about twice a second."""
        report(0, 1, "Reading the text, making the models")
        plans = planned(values, self.text, self.store, self.mixers)
        for found in watch(to_train(plans), self.store, report):
            seconds = self._seconds()
            now = {one.plan.run.id: one for one in found}
            curves = [self._curve(plan, now.get(plan.run.id), seconds) for plan in plans]
            yield [one for one in curves if one.rows or one.state != "new"]

    def _curve(self, plan: Planned, now: Progress | None, seconds: Mapping[str, float]) -> Curve:
        status = plan.run.status
        state = {"finished": "done", "broken": "paused", "stopped": "paused"}.get(
            status.state, status.state
        )
        step, words = status.step, ""
        if now is None and status.state == "failed":  # in an earlier session
            kind, _, words = status.error.partition("\n")[0].partition(": ")
            state = "stopped" if kind == "NotANumber" else "failed"
        if now is not None:
            state, step = now.state, max(now.done, 0)
            words = "" if now.error is None else str(now.error).splitlines()[0]
        rows = plan.run.rows()
        if now is not None and now.state == "done":
            step = plan.recipe.steps
        parent = plan.parent or plan.name
        key = next((kind for kind, name in self.names.items() if name == parent), "")
        return Curve(
            name=plan.name, slot=plan.slot, rows=rows, state=state, step=step,
            steps=plan.recipe.steps, parameters=plan.parameters, flops=plan.flops,
            bytes=plan.bytes_per_step, seconds=seconds.get(plan.run.id), offset=plan.offset,
            words=words, key=key, parent=plan.parent,
        )  # fmt: skip

    def _seconds(self) -> dict[str, float]:
        """Seconds of an update of each run that was timed."""
        table = self.store.timings()
        if "kind" not in table:
            return {}
        found = table[table["kind"] == "training"].groupby("run")
        return {
            str(run): float(rows["seconds"].sum() / rows["updates"].sum()) for run, rows in found
        }

    def _picture(
        self, values: Values, curves: Sequence[Curve], text_bytes: int, basis: Basis
    ) -> Picture:
        knobs = shared(values)
        about = f"{knobs.size} parameters each, context {knobs.context}, seed {knobs.seed}"
        contents: dict[str, Any] = {
            "learning": ChartContent.of(train_shown.learning(curves, about)),
            "runs": train_shown.table(curves, text_bytes),
            "flops": ChartContent.of(train_shown.against_flops(curves)),
            "seconds": ChartContent.of(train_shown.against_seconds(curves))
            if any(one.seconds is not None for one in curves)
            else EmptyContent(
                "And from the same seconds?",
                "Times are of this machine: they follow once a session here ends.",
            ),
        }
        here = device.label() if basis == "measured" else ""
        return Picture(
            contents, claim=claims.gates(recorded.study("gates")), basis=basis,
            details=(train_shown.finding(curves),), device=here,
        )  # fmt: skip

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """Every row of every run that has begun."""
        plans = planned(values, self.text, self.store, self.mixers)
        rows = [{"run": plan.name, **row} for plan in plans for row in plan.run.rows()]
        return {"runs": rows} if rows else {}

    def load(self, key: str) -> Mapping[str, Mapping[str, Any]] | None:
        """A clicked run is what the branch goes on from; clicked again, there is no branch."""
        return {BRANCH: {"of": key}} if key in (*self.names, NOTHING) else None


def _read(file: str) -> Dataset[Text]:
    from workbench.datasets import english, text_file

    return text_file(file) if file else english()
