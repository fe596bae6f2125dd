"""The panel of model assembly: click blocks away, see at once what is left, and draw with it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.diffusion.assembly.dropping import DropError, kept
from workbench.diffusion.assembly.presets import PRESETS as PRESET_NAMES
from workbench.diffusion.assembly.presets import dropped_by
from workbench.labs.diffusion.assembling import boxes, claims, composed, shown
from workbench.labs.diffusion.assembling.form import (
    GROUPS,
    PRESETS,
    STUDY,
    SWITCH,
    UNET,
    chosen,
    dropped,
    problems,
    settings_of,
)
from workbench.labs.diffusion.assembling.networks import DIGITS, SDXL, TD4
from workbench.measure import device
from workbench.panels.charted import ChartedView, changed
from workbench.panels.diagram import TOGGLE
from workbench.panels.painting import Stroke
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    ChartContent,
    Content,
    DiagramContent,
    EmptyContent,
    Picture,
)
from workbench.panels.view import Hints, Problem, Slot, Values
from workbench.progress import Report

SEEDS, STEPS, ROUNDS = 8, 20, 3
COUNTED_ONLY = "Only the shipped digits are drawn with here; the other UNets are counted."


def assembly(settings: Mapping[str, Mapping[str, Any]] | str | None = None) -> Panel:
    """A panel of a UNet's blocks that can be clicked away.

    Args:
        settings: what "Copy settings" gave.
    """
    return Panel(AssemblyView(), settings=settings)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Digits by the whole UNet and by a student.

    Attributes:
        pictures: uint8 [seeds, H, W, C] by row.
        seconds: median of a run of all seeds, by row.
        note: whose weights the student has.
        trained: whether it was distilled.
    """

    pictures: Mapping[str, np.ndarray]
    seconds: Mapping[str, float]
    note: str
    trained: bool


class AssemblyView(ChartedView):
    """One UNet, and what is left of it."""

    title = "Model assembly"
    study_line = "Blocks of a UNet dropped, the rest initialised from it and distilled"
    automatic = False
    verb = "Draw with it"
    file_name = "assembly"
    groups = GROUPS
    presets = PRESETS
    layout = (
        (Slot("diagram", "diagram", 1.3), Slot("cuts", "chart", 1.0)),
        (Slot("figures", "figures", folds=False),),
        (Slot("drawn", "images"),),
        (Slot("quality", "chart"),),
        (Slot("verdicts", "table", folded=True),),
    )

    def __init__(self) -> None:
        self.known: dict[tuple[str, ...], Drawn] = {}

    def check(self, values: Values) -> list[Problem]:
        """What cannot be dropped; a switch after the last step."""
        return problems(values)

    def hints(self, values: Values) -> Hints:
        """The diagram, of every set that can be dropped."""
        try:
            return Hints(diagrams={"diagram": boxes.diagram(chosen(values), dropped(values))})
        except (DropError, ValueError):
            return Hints()  # the check tells what is wrong; the diagram stays

    def paint(self, stroke: Stroke, values: Values) -> Mapping[str, Mapping[str, Any]] | None:
        """The set after a click."""
        if stroke.brush != TOGGLE or not stroke.cells:
            return None
        names = boxes.after(chosen(values), dropped(values), stroke.cells[0][1])
        return None if names is None else settings_of(names)

    def predict(self, values: Values) -> Picture | None:
        """All that is counted, at once; what was drawn with this set before."""
        known = self.known.get(dropped(values)) if _is_digits(values) else None
        return self._picture(values, known)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The same seeds by the whole UNet and by the student, timed by turns."""
        if not _is_digits(values):
            raise ValueError(COUNTED_ONLY)
        names = dropped(values)
        if names not in self.known:
            report(0, 2 + ROUNDS, "Reading the weights; a cut compiles once")
            self.known[names] = drawn(names, report)
        yield self._picture(values, self.known[names])

    def _picture(self, values: Values, known: Drawn | None) -> Picture:
        network, names = chosen(values), dropped(values)
        left = network.without(names)
        knobs: Any = values[SWITCH]
        switch = min(knobs.switch, knobs.steps)
        contents: dict[str, Content] = {
            "diagram": DiagramContent(
                "Which blocks does it need?",
                "Darker: more operations · click a block to drop it, again to bring it back",
            ),
            "cuts": ChartContent.of(shown.cuts(network, left)),
            "figures": shown.figures(
                network, left, knobs.steps, switch, known.seconds if known else {}
            ),
            "drawn": shown.drawn(known.pictures, [str(i) for i in range(SEEDS)], known.note)
            if known
            else EmptyContent(
                "What does the student draw?",
                f"{self.verb} samples {SEEDS} digits both ways, and times them."
                if _is_digits(values)
                else COUNTED_ONLY,
                self.verb if _is_digits(values) else "",
            ),
        }
        model = values[UNET].model_dump()["model"]
        if model in (SDXL, TD4):
            card = claims.scalability()
        else:
            ratio, where = self._time(values, known)
            card = claims.assembly(network.name, network.total, left, ratio, where)
        own = composed.study()
        metric = values[STUDY].model_dump()["metric"]
        contents["quality"] = ChartContent.of(composed.quality(own, metric))
        contents["verdicts"] = composed.verdicts(own)
        basis: Any = "measured" if known else "predicted"
        return Picture(contents, claim=card, basis=basis, device=device.label() if known else "")

    def _time(self, values: Values, known: Drawn | None) -> tuple[float | None, str]:
        """A trained student's time over its teacher's, and where it was taken."""
        if known is not None and known.trained:
            return known.seconds[shown.STUDENT] / known.seconds[shown.WHOLE], f"{device.label()}."
        if not _is_digits(values):
            return None, ""
        names = kept(chosen(values).config, dropped(values))
        for preset in PRESET_NAMES:
            if kept(chosen(values).config, dropped_by(chosen(values).config, preset)) == names:
                card = composed.study().card
                return composed.study().time(preset), f"{card['device']}, {card['date']}."
        return None, ""

    def code(self, values: Values) -> str:
        """Lines that compare the student with the whole UNet, or count it."""
        names = ", ".join(dropped(values))
        if _is_digits(values):
            return "\n".join([
                "from workbench import compare",
                "from workbench.diffusion.assembly import Assembled",
                "from workbench.diffusion.full_sampling import FullSampling",
                "from workbench.labs import diffusion",
                "",
                f'student = Assembled("custom", dropped={names!r}, weights="teacher")',
                "compare([FullSampling(), student], diffusion.study(steps=20, seeds=8))",
                "",
            ])  # fmt: skip
        return "\n".join([
            "from workbench.labs import diffusion",
            "",
            f"diffusion.assembly(settings={changed(values)})",
            "",
        ])  # fmt: skip


def drawn(names: tuple[str, ...], report: Report) -> Drawn:
    """Digits by the shipped UNet and by what is left of it, trained where such a student ships.

    Args:
        names: what is dropped.
        report: progress.
    """
    from workbench.diffusion.assembly.assembled import Assembled
    from workbench.diffusion.assembly.trained import matching
    from workbench.diffusion.assembly.transform import unet_form
    from workbench.labs.diffusion.sampling_study import pipeline
    from workbench.measure.timing import interleaved

    whole = pipeline().with_sampling(steps=STEPS)
    found = matching(unet_form(whole), names)
    kind = "teacher" if found is None else "distilled"
    method = Assembled("custom", dropped=", ".join(names), weights=kind)
    student = method.prepare(whole)
    report(1, 2 + ROUNDS, "Drawing")
    inputs = whole.inputs(tuple(range(SEEDS)))
    subjects = {shown.WHOLE: whole, shown.STUDENT: student}
    pictures = {}
    for place, (name, subject) in enumerate(subjects.items()):
        pictures[name] = _bytes(subject, inputs)
        report(1 + place, 2 + ROUNDS, "Drawing")
    timed = interleaved(
        {name: _run(subject, inputs) for name, subject in subjects.items()},
        repeats=ROUNDS, min_time=0.0, report=report,
    )  # fmt: skip
    seconds = {name: statistics.median(one.samples) for name, one in timed.items()}
    note = "distilled" if found is not None else "the teacher’s weights, not trained"
    if not names:
        note = "nothing dropped"
    return Drawn(pictures, seconds, note, found is not None)


def _run(subject: Any, inputs: Any) -> Any:
    from workbench.diffusion.driver import sample

    return lambda: sample(subject, inputs)


def _bytes(subject: Any, inputs: Any) -> np.ndarray:
    from workbench.diffusion.driver import sample

    images = np.asarray(sample(subject, inputs)["image"])
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)


def _is_digits(values: Values) -> bool:
    return bool(values[UNET].model_dump()["model"] == DIGITS)
