"""View: what a lab hands to the panel. The panel knows forms, pictures and work, never a field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from workbench.panels.diagram import Diagram
from workbench.panels.painting import Acted, PaintGrid, Stroke
from workbench.panels.picture import Mark, Picture
from workbench.progress import Report
from workbench.study.knobs import Knobs

Values = Mapping[str, Knobs]
"""The settings of a panel: one validated `Knobs` per group id."""


@dataclass(frozen=True)
class KnobGroup:
    """A titled group of knobs.

    Args:
        knobs: the model whose fields become rows.
        method: the method the group belongs to; its mark stands before the title.
        note: a line under the title.
        marks: method of a single boolean field, which then is a method row.
    """

    id: str
    label: str
    knobs: type[Knobs]
    method: Mark = None
    note: str = ""
    marks: Mapping[str, Mark] = field(default_factory=dict)


@dataclass(frozen=True)
class Preset:
    """A starting point that says what will be seen. `values`: {group id: {field: value}}."""

    label: str
    values: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Slot:
    """A place in the picture.

    Args:
        weight: its share of the row's width.
        height: pixels of a chart; of a picture in a grid the most.
        folds: whether its row starts folded in one-column cells; the first row never does.
        folded: whether its row starts folded in cells of every width. Such rows stand last.
    """

    id: str
    kind: Literal[
        "chart",
        "split",
        "images",
        "figures",
        "table",
        "pairs",
        "paint",
        "diagram",
        "shares",
        "gallery",
        "written",
    ]
    weight: float = 1.0
    height: int | None = None
    folds: bool = True
    folded: bool = False


@dataclass(frozen=True)
class Problem:
    """What is wrong with settings. An "error" stops the run; a "warn" is shown and it goes on."""

    level: Literal["error", "warn"]
    field: str
    message: str
    group: str = ""


@dataclass(frozen=True)
class StepStrip:
    """The strip under a steps knob: which of `total` steps run in full.

    Args:
        filled: indices of full steps as they will run.
        note: the line below; a count when empty.
        edit_sets: other fields of the group to set when the user edits, {"plan": "own"}.
        locked: steps that must stay full.
    """

    total: int
    filled: Sequence[int]
    note: str = ""
    edit_sets: Mapping[str, Any] = field(default_factory=dict)
    locked: Sequence[int] = ()


@dataclass(frozen=True)
class Hints:
    """What the form shows beside the values; names are "group.field".

    Args:
        active: ids of the groups in use now.
        strips: step strips by name.
        counts: text at the right of a method row.
        prices: seconds a change of a static knob compiles for.
        grids: what can be painted, by slot.
        diagrams: networks whose parts can be clicked away, by slot.
        withheld: choices not offered at these settings, by name.
    """

    active: Sequence[str] = ()
    strips: Mapping[str, StepStrip] = field(default_factory=dict)
    counts: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, float] = field(default_factory=dict)
    grids: Mapping[str, PaintGrid] = field(default_factory=dict)
    diagrams: Mapping[str, Diagram] = field(default_factory=dict)
    withheld: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Export:
    """A line of the export menu; `note` is its ending (".zip"), `behind` its part of the menu."""

    kind: str
    label: str
    note: str = ""
    behind: bool = False


class View(Protocol):
    """One view of a lab. Subclass it: what a view does not need has a default.

    Attributes:
        presets: exactly three.
        layout: rows of slots, top to bottom.
        exports: lines of the export menu.
        automatic: whether a change of settings starts a run; where False, Run starts it.
        verb: the word on the Run button.
    """

    title: str
    study_line: str
    groups: Sequence[KnobGroup]
    presets: Sequence[Preset]
    layout: Sequence[Sequence[Slot]]
    exports: Sequence[Export] = ()
    automatic: bool = True
    verb: str = "Run"

    def check(self, values: Values) -> list[Problem]:
        """Limits that no single knob can know; empty when all is well."""
        return []

    def hints(self, values: Values) -> Hints:
        """Active groups, step strips, counts. Called at every change: keep it under 5 ms."""
        return Hints()

    def unready(self, values: Values) -> str:
        """What must be worked out before `predict` can answer at once, in words; "" for nothing."""
        return ""

    def prepare(self, values: Values, report: Report) -> None:
        """Work that out. Runs in the worker thread, after which `check` and `predict` are asked."""
        return

    def predict(self, values: Values) -> Picture | None:
        """The picture at once (under 150 ms) from cost models and recorded trials."""
        return None

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """Partial pictures, the last one complete. Runs in the worker thread, never prints."""
        ...

    def annotate(self, picture: Picture, values: Values, pins: Mapping[str, Values]) -> Picture:
        """The picture with the present setting and the pinned points marked."""
        return picture

    def code(self, values: Values) -> str:
        """Lines of Python that make the same table."""
        return ""

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """A file's name and content, of the picture on the screen, pins included."""
        raise ValueError(f"There is no export of kind {kind!r}")

    def load(self, key: str) -> Mapping[str, Mapping[str, Any]] | None:
        """Settings of a clicked point or picture; None where it has none."""
        return None

    def choose(self, key: str, values: Values, picture: Picture) -> Picture | None:
        """A picture that shows the clicked thumbnail in the split viewer; None to load instead."""
        return None

    def paint(self, stroke: Stroke, values: Values) -> Mapping[str, Mapping[str, Any]] | None:
        """Settings after a stroke over a grid, or a click in a diagram; None where none change."""
        return None

    def act(self, action: str, values: Values) -> Acted:
        """What a grid's button does."""
        raise ValueError(f"There is no action {action!r}")

    def pin_label(self, values: Values) -> str:
        """The one setting a pin is told apart by; the panel finds one when empty."""
        return ""

    def svg(self, picture: Picture) -> str:
        """A static picture for places without widgets: the first chart."""
        from workbench.figures.export import svg

        return "" if picture.first_chart is None else svg(picture.first_chart)
