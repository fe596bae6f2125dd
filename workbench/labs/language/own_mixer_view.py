"""A mixer of one's own: what the checks found, and how it does beside its rivals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench.labs.language import own_mixer_shown as shown
from workbench.labs.language.lab_view import LanguageView
from workbench.labs.language.own_code import code_of
from workbench.measure import device
from workbench.panels.charted import waiting
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, Content, EmptyContent, Picture
from workbench.panels.view import KnobGroup, Preset, Slot, Values
from workbench.progress import Report, part
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    from workbench.language.checking import Report as Checked
    from workbench.language.mixing import MixerConfig
    from workbench.language.studies.beside import Beside

CHECKS = "checks"


class Checking(Knobs):
    """How far the comparison goes."""

    width: Literal["32", "64", "128"] = knob(
        "64", label="Width", choices={"32": "32 wide", "64": "64 wide", "128": "128 wide"},
        help="Of the layer that is checked.",
    )  # fmt: skip
    compared: bool = knob(
        True, label="Beside rivals",
        help="Whether it is timed and trained too, as the rivals of the shipped studies were.",
    )  # fmt: skip
    minutes: int = knob(
        10, ge=1, le=60, scale="log", label="Minutes", unit="min",
        help="Of timing and training. What is done by then is shown; the next run goes on.",
    )  # fmt: skip


PRESETS = (
    Preset("The checks alone", {CHECKS: {"compared": False}}),
    Preset("Beside its rivals, ten minutes", {CHECKS: {"compared": True}}),
    Preset("On a slow machine", {CHECKS: {"compared": True, "minutes": 40}}),
)


@dataclass
class Found:
    """What is known of a mixer so far."""

    checks: Checked | None = None
    beside: Beside | None = None


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
    """The checks, then what `workbench.language.beside_rivals` finds: time, recall and text.

    Args:
        mixer: see `own_mixer`.
    """

    title = "Your own mixer"
    opener = "own_mixer"
    verb = "Check"
    waits = 3700
    groups = (KnobGroup(CHECKS, "Checks", Checking),)
    presets = PRESETS
    layout = (
        (Slot("checks", "table"),),
        (Slot("learning", "chart", 1.2), Slot("times", "chart", 1.0)),
        (Slot("order", "table", 1.2), Slot("recall", "chart", 1.0)),
    )

    def __init__(self, mixer: MixerConfig | type) -> None:
        from workbench.language.mixing import MixerConfig
        from workbench.language.own_mixer import mixer as made_of

        self.mixer = mixer if isinstance(mixer, MixerConfig) else made_of(mixer)
        self.name = str(getattr(self.mixer, "name", self.mixer.kind))
        self.study_line = f"{self.name}: does it do what a mixer must, and how does it compare?"

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
        checks = EmptyContent(shown.CHECKS, text, self.verb)
        return Picture({"checks": checks, **_later(checking(values))})

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The checks first; a mixer that fails one is compared all the same, where it can be."""
        from workbench.language.checking import check
        from workbench.language.studies import beside

        knobs = checking(values)
        found = Found()
        checked = part(report, 0, 5) if knobs.compared else report
        found.checks = check(self.mixer, width=int(knobs.width), timed=False, report=checked)
        yield self._picture(values, found)
        if not knobs.compared:
            return

        def told(done: int, total: int, note: str = "", preview: Any = None) -> None:
            report(total + 4 * done, 5 * total, note, preview)  # four fifths of the whole

        for found.beside in beside.growing(self.mixer, minutes=knobs.minutes, report=told):
            yield self._picture(values, found)

    def _picture(self, values: Values, found: Found) -> Picture:
        contents: dict[str, Content] = _later(checking(values))
        details: list[str] = []
        if found.checks is not None:
            contents["checks"] = shown.checks(found.checks)
            details.append(found.checks.sentence)
        if (beside := found.beside) is not None:
            if beside.cost:
                contents["times"] = ChartContent.of(shown.times(beside))
            if beside.text:
                contents["learning"] = ChartContent.of(shown.learnt(beside))
            if beside.recall:
                contents["recall"] = ChartContent.of(shown.recalled(beside))
            contents["order"] = shown.order(beside) or EmptyContent(
                shown.ORDER, f"{beside.mixer} has no finished run on text yet."
            )
            details += beside.missing
        return Picture(contents, basis="measured", details=details, device=device.label())


def _later(knobs: Checking) -> dict[str, Content]:
    """What stands where the comparison will."""
    words = "Follows the checks." if knobs.compared else "“Beside rivals” is off."
    return waiting(
        words, learning=shown.LEARNT, times=shown.TIMES, order=shown.ORDER, recall=shown.RECALL
    )


def checking(values: Values) -> Checking:
    """The form's settings."""
    knobs = values[CHECKS]
    assert isinstance(knobs, Checking), "the form has one group"
    return knobs
