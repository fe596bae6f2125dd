"""A mixer of one's own: what the checks found, and how it does beside its rivals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines
from workbench.labs.language import models, train_shown
from workbench.labs.language.lab_view import LanguageView
from workbench.labs.language.layer_timing import Timed, grown
from workbench.labs.language.own_code import code_of
from workbench.labs.language.recall_run import Recalled, known_mixers, recall
from workbench.labs.language.recall_view import table as recall_table
from workbench.labs.language.train_form import RUNS, SHARED, TRAINED, Shared, groups
from workbench.labs.language.train_shown import Curve
from workbench.labs.language.train_view import TrainView
from workbench.measure import device
from workbench.panels.charted import waiting
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    Cell,
    ChartContent,
    Column,
    Content,
    EmptyContent,
    Picture,
    TableContent,
    Verdict,
)
from workbench.panels.view import KnobGroup, Preset, Slot, Values
from workbench.progress import Report, part
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    from workbench.language.checking import Report as Checked
    from workbench.language.mixing import MixerConfig

CHECKS = "checks"
RIVALS = ("attention", "gla")
TIMES, RECALL = "How does its time grow?", "How much can it look up?"
LENGTHS = (64, 128, 256, 512, 1024)
GLYPHS: Mapping[str, Verdict] = {"pass": "reproduced", "fail": "failed", "not judged": "open"}
"""Of a check that is judged; what is only measured has none."""


class Checking(Knobs):
    """How far the comparison goes."""

    width: Literal["32", "64", "128"] = knob(
        "64", label="Width", choices={"32": "32 wide", "64": "64 wide", "128": "128 wide"},
        help="Of the layer that is checked, timed and asked to recall.",
    )  # fmt: skip
    ladder: int = knob(
        150, ge=10, le=3000, scale="log", label="Updates, text",
        help="Of 16 rows of 128 bytes, for a model of 30 k parameters with each mixer.",
    )  # fmt: skip
    recall: int = knob(
        1000, ge=10, le=3000, scale="log", label="Updates, recall",
        help="Of 128 texts with 2, 4 and 8 pairs by turns, for a model with each mixer.",
    )  # fmt: skip
    compared: bool = knob(
        True, label="Beside rivals", help="Whether rivals are trained and timed too, by turns.",
    )  # fmt: skip


PRESETS = (
    Preset("The checks alone", {CHECKS: {"compared": False}}),
    Preset("Beside Transformer++ and GLA", {CHECKS: {"compared": True}}),
    Preset("A longer comparison", {CHECKS: {"compared": True, "ladder": 600, "recall": 2000}}),
)


@dataclass
class Found:
    """What is known of a mixer so far."""

    checks: Checked | None = None
    times: list[Timed] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    recalled: list[Recalled] = field(default_factory=list)


def own_mixer(
    mixer: MixerConfig | type,
    *,
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> Panel:
    """The page of a mixer of one's own; its checks start at once.

    Args:
        mixer: made by `workbench.language.mixer`, a class it can make one of, or any mixer here.
        settings: what "Copy settings" gave.

    Raises:
        TypeError: no mixer.
    """
    panel = Panel(OwnMixerView(mixer), settings=settings)
    panel.run()
    return panel


class OwnMixerView(LanguageView):
    """The checks, then text, recall and time beside rivals.

    Args:
        mixer: see `own_mixer`.
    """

    title = "Your own mixer"
    opener = "own_mixer"
    verb = "Check"
    waits = 1200
    groups = (KnobGroup(CHECKS, "Checks", Checking),)
    presets = PRESETS
    layout = (
        (Slot("checks", "table"),),
        (Slot("learning", "chart", 1.2), Slot("times", "chart", 1.0)),
        (Slot("recall", "table"),),
    )

    def __init__(self, mixer: MixerConfig | type) -> None:
        from workbench.language.mixing import MixerConfig
        from workbench.language.own_mixer import mixer as made_of

        self.mixer = mixer if isinstance(mixer, MixerConfig) else made_of(mixer)
        self.name = str(getattr(self.mixer, "name", self.mixer.kind))
        self.study_line = f"{self.name}: does it do what a mixer must, and how does it compare?"
        self.found: dict[Values, Found] = {}

    def arguments(self) -> list[str]:
        """The mixer, as it stands in the notebook."""
        return [code_of(self.mixer).expression]

    def before(self) -> list[str]:
        """What the mixer needs."""
        return code_of(self.mixer).before

    def predict(self, values: Values) -> Picture:
        """Nothing is known before the checks."""
        from workbench.language.checking import NAMES

        text = f"{len(NAMES)} checks: {', '.join(NAMES)}."
        checks = EmptyContent("Does it do what a mixer must?", text, self.verb)
        return Picture({"checks": checks, **_later(checking(values))})

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The checks first; a mixer that fails one is compared all the same, where it can be."""
        from workbench.language.checking import check

        knobs = checking(values)
        found = Found()
        stages = 4 if knobs.compared else 1
        found.checks = check(
            self.mixer, width=int(knobs.width), timed=False, report=part(report, 0, stages)
        )
        yield self._picture(values, found)
        if not knobs.compared:
            return
        for timed in self._timed(int(knobs.width), part(report, 1, stages)):
            found.times += timed
            yield self._picture(values, found)
        for curves in self._trained(knobs, part(report, 2, stages)):
            found.curves = curves
            yield self._picture(values, found)
        mixers = [(self.name, self.mixer), *known_mixers(RIVALS, int(knobs.width))]
        for recalled in recall(
            mixers, (2, 4, 8), (0,), width=int(knobs.width), steps=knobs.recall, rate=3e-3,
            report=part(report, 3, stages),
        ):  # fmt: skip
            found.recalled = recalled
            yield self._picture(values, found)

    def _timed(self, width: int, report: Report) -> Iterator[list[Timed]]:
        rivals = dict(zip(RIVALS, (one for _, one in known_mixers(RIVALS, width)), strict=True))
        yield from grown(
            {"own": self.mixer, **rivals}, width, LENGTHS, token=False, seconds=5.0, report=report
        )

    def _trained(self, knobs: Checking, report: Report) -> Iterator[list[Curve]]:
        """The training panel's runs, with this mixer among them."""
        view = TrainView([self.mixer])
        form = {group.id: group.knobs() for group in groups({"own_0": self.name})}
        chosen = {kind: kind in RIVALS for kind in TRAINED} | {"own_0": True}
        form[RUNS] = form[RUNS].model_copy(update=chosen)
        form[SHARED] = Shared(size="30k", steps=knobs.ladder)
        yield from view.curves(form, report)

    def _picture(self, values: Values, found: Found) -> Picture:
        contents: dict[str, Content] = _later(checking(values))
        if found.checks is not None:
            contents["checks"] = checks_table(found.checks)
        if found.times:
            contents["times"] = ChartContent.of(self._times(found.times))
        if found.curves:
            contents["learning"] = ChartContent.of(
                train_shown.learning(found.curves, "30k parameters each, context 128")
            )
        if found.recalled:
            contents["recall"] = recall_table(found.recalled, RECALL)
        details = () if found.checks is None else (found.checks.sentence,)
        return Picture(contents, basis="measured", details=details, device=device.label())

    def _times(self, times: Sequence[Timed]) -> Chart:
        names = {**models.NAMES, "own": self.name}
        rows = [
            {"method": names[one.kind], "length": one.length, "ms": 1e3 * one.timing.median,
             "low": 1e3 * one.timing.low, "high": 1e3 * one.timing.high}
            for one in times
        ]  # fmt: skip
        return lines(
            rows,
            Axis("length", "Context (tokens)", scale="log", words="count"),
            Axis("ms", "Milliseconds of a layer", scale="log"),
            title=TIMES,
            subtitle="Forward, batch 1, with a feed-forward of 8/3 · band: all repeats",
            slots={name: models.slot(name) for name in names.values()},
            marks=True,
        )


def _later(knobs: Checking) -> dict[str, Content]:
    """What stands where the comparison will."""
    rivals = " and ".join(models.NAMES[kind] for kind in RIVALS)
    words = f"Follows the checks, beside {rivals}." if knobs.compared else "“Beside rivals” is off."
    return waiting(words, learning=train_shown.LEARNING, times=TIMES, recall=RECALL)


def checking(values: Values) -> Checking:
    """The form's settings."""
    knobs = values[CHECKS]
    assert isinstance(knobs, Checking), "the form has one group"
    return knobs


def checks_table(found: Checked) -> TableContent:
    """A row for each check."""
    rows: list[list[Cell | str]] = [
        [Cell(one.name), Cell(one.status, verdict=GLYPHS.get(one.status)), one.figure, one.words]
        for one in found.checks
    ]
    heads = (Column("Check"), Column("Verdict"), Column("Figure"), Column("Found", wrap=True))
    about = f"{found.sentence} {numbers.seconds(found.seconds)}."
    return TableContent(heads, rows, "Does it do what a mixer must?", about)
