"""Recall: what a state of so many bytes can look up, from the shipped study and measured here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import create_model

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines, ranges
from workbench.labs.language import claims, models, recorded
from workbench.labs.language.lab_view import LanguageView
from workbench.labs.language.recall_run import (
    BATCH,
    LENGTH,
    Recalled,
    known_mixers,
    recall,
    state_bytes,
)
from workbench.measure import device
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    Cell,
    ChartContent,
    Column,
    Content,
    EmptyContent,
    Picture,
    TableContent,
)
from workbench.panels.view import KnobGroup, Preset, Problem, Slot, Values
from workbench.progress import Report
from workbench.study.knobs import Knobs, knob

TASK, MIXERS = "task", "mixers"
PAIRS: Mapping[str, Sequence[int]] = {"2-8": (2, 4, 8), "8": (8,)}
DRAWN = ("attention", "gla", "retnet", "delta_net")
TITLE, TABLE = "What can each mixer still look up?", "In numbers"


class Task(Knobs):
    """The recall task and its models."""

    pairs: Literal["2-8", "8"] = knob(
        "2-8", label="Pairs", choices={"2-8": "2, 4 and 8 by turns", "8": "8 pairs"},
        help=f"Keys with a value in a text of {LENGTH} tokens, each asked for once. Few pairs "
        "teach what many ask.",
        source="Arora et al. 2023 §4",
    )  # fmt: skip
    width: Literal["32", "64", "128"] = knob(
        "64", label="Width", static=True,
        choices={"32": "32 wide", "64": "64 wide", "128": "128 wide"},
        help="Of the model: states grow with its square, caches with it.",
    )  # fmt: skip
    steps: int = knob(
        1000, ge=10, le=10000, scale="log", label="Updates",
        help=f"Of {BATCH} texts each; attention has learnt the task by then.",
    )  # fmt: skip
    rate: float = knob(
        3e-3, ge=1e-4, le=0.1, scale="log", label="Learning rate", help="Peak, the same for all.",
    )  # fmt: skip
    seeds: int = knob(1, ge=1, le=5, label="Seeds", help="Models of each mixer.")


ASKED: dict[str, Any] = {
    kind: (bool, knob(kind in DRAWN, label=name, help=f"Whether {name} is asked."))
    for kind, name in models.NAMES.items()
}
Mixers = create_model("Mixers", __base__=Knobs, **ASKED)

GROUPS = (
    KnobGroup(TASK, "Task", Task),
    KnobGroup(
        MIXERS, "Mixers", Mixers,
        marks={kind: models.slot(name) for kind, name in models.NAMES.items()},
    ),
)  # fmt: skip
PRESETS = (
    Preset("From few pairs to many", {TASK: {"pairs": "2-8"}}),
    Preset("Eight pairs alone", {TASK: {"pairs": "8"}}),
    Preset(
        "Attention against a tiny state",
        {TASK: {"pairs": "8", "width": "32"},
         MIXERS: {kind: kind in ("attention", "gla", "mlgru") for kind in models.NAMES}},
    ),
)  # fmt: skip


def open_recall(settings: Mapping[str, Mapping[str, Any]] | str | None = None) -> Panel:
    """The panel of associative recall.

    Args:
        settings: what "Copy settings" gave.
    """
    return Panel(RecallView(), settings=settings)


class RecallView(LanguageView):
    """Accuracy by pairs and by bytes of state."""

    title = "Recall"
    study_line = f"Multi-query associative recall, {LENGTH} tokens; sizes of ours, for a CPU"
    opener = "recall"
    verb = "Measure"
    waits = 3600
    groups = GROUPS
    presets = PRESETS
    layout = (
        (Slot("accuracy", "chart", 1.2), Slot("state", "chart", 1.0)),
        (Slot("table", "table", folds=False),),
    )

    def __init__(self) -> None:
        self.found: dict[str, list[Recalled]] = {}

    def check(self, values: Values) -> list[Problem]:
        """No mixer at all."""
        if any(values[MIXERS].model_dump().values()):
            return []
        return [Problem("error", "", "No mixer is chosen; choose at least one")]

    def predict(self, values: Values) -> Picture:
        """The shipped study where there is one; the states by formula always."""
        known = recorded.recall()
        if known is None:
            return self._picture(values, [], "predicted")
        picture = self._picture(values, known.rows, "recorded")
        return Picture(
            picture.contents, claim=claims.recall(recorded.study("recall")), basis="recorded",
            details=("the shipped study, whatever the form says",), when=known.date,
            device=known.device,
        )  # fmt: skip

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """A model of each mixer, one after another; finished ones are read."""
        knobs = task(values)
        report(0, 1, "Making the texts")
        for found in recall(
            self._mixers(values),
            PAIRS[knobs.pairs],
            range(knobs.seeds),
            width=int(knobs.width),
            steps=knobs.steps,
            rate=knobs.rate,
            report=report,
        ):
            yield self._picture(values, found, "measured")

    def _mixers(self, values: Values) -> list[tuple[str, Any]]:
        chosen = [kind for kind, on in values[MIXERS].model_dump().items() if on]
        return known_mixers(chosen, int(task(values).width))

    def _picture(self, values: Values, found: Sequence[Recalled], basis: Any) -> Picture:
        knobs = task(values)
        states = {
            name: state_bytes(mixer, int(knobs.width)) for name, mixer in self._mixers(values)
        }
        words = "Accuracy is measured by training a model of each mixer."
        answered = [one for one in found if one.stopped is None]
        contents: dict[str, Content] = {
            "accuracy": ChartContent.of(accuracy(answered))
            if answered
            else EmptyContent(TITLE, words, self.verb),
            "state": ChartContent.of(by_state(answered) if answered else state_sizes(states)),
        }
        contents["table"] = (
            table(found) if found else EmptyContent(TABLE, "A row for each model, once measured.")
        )
        here = device.label() if basis == "measured" else ""
        details = (f"width {knobs.width}, 2 layers, no feed-forward",)
        card = claims.recall(recorded.study("recall"))
        return Picture(contents, claim=card, basis=basis, details=details, device=here)


def task(values: Values) -> Task:
    """The task's settings."""
    knobs = values[TASK]
    assert isinstance(knobs, Task), "the form's first group"
    return knobs


def accuracy(found: Sequence[Recalled], title: str = TITLE) -> Chart:
    """Share of queries answered against pairs, means over seeds with their range; one number of
    pairs as ranges."""
    groups = _grouped(found)
    if len({pairs for _, pairs in groups}) == 1:
        rows = [
            {"group": name, "method": name, "accuracy": 100 * sum(values) / len(values),
             "low": 100 * min(values), "high": 100 * max(values)}
            for (name, _), values in groups.items()
        ]  # fmt: skip
        return ranges(
            rows,
            Axis("accuracy", "Queries answered", unit="%", domain=(0, 100)),
            title=title,
            subtitle=f"{found[0].pairs} pairs, held-out texts · bar: all seeds",
            slots=_slots(found),
        )
    points = [
        {"method": name, "pairs": pairs, "accuracy": 100 * sum(values) / len(values),
         "low": 100 * min(values), "high": 100 * max(values)}
        for (name, pairs), values in sorted(groups.items(), key=lambda item: item[0][1])
    ]  # fmt: skip
    return lines(
        points,
        Axis("pairs", "Pairs in a text"),
        Axis("accuracy", "Queries answered", unit="%", domain=(0, 100)),
        title=title,
        subtitle="Held-out texts · line: mean, band: all seeds · a guess among values: 1/pairs",
        slots=_slots(found),
        marks=True,
    )


def by_state(found: Sequence[Recalled]) -> Chart:
    """Accuracy against bytes of state."""
    rows = [
        {"method": name, "state": state / 1024, "accuracy": 100 * sum(values) / len(values)}
        for (name, state), values in sorted(
            _grouped(found, "state").items(), key=lambda item: item[0][1]
        )
    ]  # fmt: skip
    return lines(
        rows,
        Axis("state", "KiB of state for one text", scale="log"),
        Axis("accuracy", "Queries answered", unit="%", domain=(0, 100)),
        title="Is it the size of the state?",
        subtitle="Means over pairs and seeds; a cache holds the whole text",
        slots=_slots(found),
        marks=True,
    )


def state_sizes(states: Mapping[str, float]) -> Chart:
    """Bytes each mixer keeps of a text, by formula."""
    rows = [
        {"group": name, "method": name, "state": state / 1024, "predicted": True}
        for name, state in states.items()
    ]
    return ranges(
        rows,
        Axis("state", "KiB of state for one text", scale="log"),
        title="How much does each keep of a text?",
        subtitle=f"Two layers, {LENGTH} tokens, float32 · by formula",
        slots={name: models.slot(name) for name in states},
    )


def table(found: Sequence[Recalled], title: str = TABLE) -> TableContent:
    """Every mixer and number of pairs, then each model that stopped."""
    rows: list[list[Cell | str]] = []
    answered = [one for one in found if one.stopped is None]
    for (name, pairs), values in _grouped(answered).items():
        of = [one for one in answered if (one.name, one.pairs) == (name, pairs)]
        spread = f"{numbers.percent(min(values))}–{numbers.percent(max(values))}"
        rows.append([
            Cell(name, method=models.slot(name)), str(pairs), numbers.memory(of[0].state),
            Cell(numbers.percent(sum(values) / len(values)), strong=True,
                 note=spread if len(values) > 1 else ""),
            str(len(values)), numbers.seconds(min(one.seconds for one in of)),
        ])  # fmt: skip
    for one in found:
        if one.stopped is not None:
            words = f"seed {one.seed}: loss is not a number at step {one.stopped}"
            rows.append([
                Cell(one.name, method=models.slot(one.name)), str(one.pairs),
                numbers.memory(one.state), Cell("Stopped", verdict="failed", note=words), "–", "–",
            ])  # fmt: skip
    heads = (
        Column("Mixer"), Column("Pairs", number=True), Column("State", number=True),
        Column("Answered", number=True), Column("Seeds", number=True, optional=True),
        Column("Training", number=True, optional=True),
    )  # fmt: skip
    words = "Shares of held-out queries answered; training: the fastest seed."
    return TableContent(heads, rows, title, words)


def _grouped(found: Sequence[Recalled], by: str = "pairs") -> dict[tuple[str, Any], list[float]]:
    groups: dict[tuple[str, Any], list[float]] = {}
    for one in found:
        groups.setdefault((one.name, getattr(one, by)), []).append(one.accuracy)
    return groups


def _slots(found: Sequence[Recalled]) -> dict[str, int]:
    return {one.name: models.slot(one.name) for one in found}
