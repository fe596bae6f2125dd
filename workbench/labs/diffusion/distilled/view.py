"""The panel of students: the same noise by the teacher and by what was distilled from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workbench.labs.diffusion.distilled import shown
from workbench.labs.diffusion.distilled.claims import claim
from workbench.labs.diffusion.distilled.drawn import Drawn, about, drawn, recorded
from workbench.labs.diffusion.distilled.form import (
    GROUPS,
    ONE_PASS,
    PRESETS,
    RIVALS,
    STUDY,
    names,
)
from workbench.measure import device
from workbench.panels.charted import EXPORTS, ChartedView, others
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    ChartContent,
    Content,
    EmptyContent,
    Picture,
)
from workbench.panels.settings import cache_key
from workbench.panels.view import Slot, Values
from workbench.progress import Report


def students(settings: Mapping[str, Mapping[str, Any]] | str | None = None) -> Panel:
    """A panel of the shipped students beside their teacher.

    Args:
        settings: what "Copy settings" gave.
    """
    return Panel(StudentsView(), settings=settings)


class StudentsView(ChartedView):
    """Quality, diversity, operations and seconds side by side."""

    title = "Students"
    study_line = "Distilled from the shipped digits with equal multiply-adds; no guidance"
    automatic = False
    verb = "Draw and time"
    file_name = "students"
    groups = GROUPS
    presets = PRESETS
    exports = (*EXPORTS, *others(divergence="λ"))
    layout = (
        (Slot("quality", "chart", 1.3), Slot("divergence", "chart", 1.0)),
        (Slot("pictures", "images", height=64),),
        (Slot("full_size", "table", folds=False),),
        (Slot("verdicts", "table", folded=True),),
    )

    def __init__(self) -> None:
        self.known: dict[str, Drawn] = {}

    def predict(self, values: Values) -> Picture:
        """The study always; pictures that ship, or that were drawn here before."""
        known = self.known.get(_asked(values))
        if known is not None:
            return self._picture(known, values, "measured")
        found = recorded(values)
        return self._picture(found, values, "recorded" if found else "predicted")

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """Eight pictures by each, timed by turns."""
        asked = _asked(values)
        if asked not in self.known:
            self.known[asked] = drawn(values, report)
        yield self._picture(self.known[asked], values, "measured")

    def _picture(self, found: Drawn | None, values: Values, basis: Any) -> Picture:
        knobs: Any = values[STUDY]
        own = shown.study()
        contents: dict[str, Content] = {
            "quality": ChartContent.of(
                shown.quality(own, knobs.metric, knobs.cost, names(values))
            ),
            "divergence": ChartContent.of(shown.divergence(own, knobs.metric)),
            "pictures": shown.pictures(found)
            if found
            else EmptyContent(
                "What do they draw of the same noise?", f"{self.verb} draws and times all four.",
                self.verb,
            ),
            "full_size": shown.full_size(),
            "verdicts": shown.verdicts(own),
        }  # fmt: skip
        ships = basis == "recorded"
        return Picture(
            contents,
            claim=claim(own),
            basis=basis,
            details=(f"study of {own.card['date']}",),
            when=str(about()["date"]) if ships else "",
            device=str(about()["device"]) if ships else device.label() if found else "",
        )

    def code(self, values: Values) -> str:
        """Lines that compare the same students with their teacher."""
        one: Any = values[ONE_PASS]
        rivals: Any = values[RIVALS]
        return "\n".join([
            "from workbench import compare",
            "from workbench.diffusion.full_sampling import FullSampling",
            "from workbench.diffusion.students import (",
            "    ConsistencyStudent, OnePassStudent, OneStepStudent,",
            ")",
            "from workbench.labs import diffusion",
            "",
            f"methods = [FullSampling(), OnePassStudent(passes={one.passes}),",
            f"           ConsistencyStudent(steps={rivals.steps}), OneStepStudent()]",
            f"compare(methods, diffusion.study(steps={rivals.teacher}, seeds=32))",
            "",
        ])  # fmt: skip


def _asked(values: Values) -> str:
    """What pictures follow from: all but how the study is judged."""
    return cache_key({name: knobs for name, knobs in values.items() if name != STUDY})
