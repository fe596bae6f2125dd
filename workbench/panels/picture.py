"""What a view shows: a frozen picture, one content per slot, with the claim it is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from workbench.figures.chart import Chart
    from workbench.study.comparison import Comparison

Basis = Literal["predicted", "measured", "recorded"]
Verdict = Literal["reproduced", "part", "failed", "open"]
Mark = str | int | None
"""A method's name (looked up in the palette) or its colour and mark slot, 0 to 9."""


@dataclass(frozen=True)
class ChartContent:
    """A Vega-Lite chart.

    Args:
        title: the question the chart answers.
        description: question and finding in words, for readers who do not see it.
        spec: Vega-Lite without its rows; data sets are named.
        rows: the rows, or several named sets of rows.
        height: pixels; the slot's own height when None.
        chart: what was drawn, for exports; None where there is nothing to export.
    """

    title: str
    subtitle: str
    description: str
    spec: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Mapping[str, Any]]]
    height: int | None = None
    chart: Chart | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, chart: Chart) -> ChartContent:
        """The content that shows a chart."""
        return cls(
            chart.title, chart.subtitle, chart.description, chart.spec, chart.rows, chart=chart
        )


@dataclass(frozen=True)
class SplitContent:
    """Aligned PNGs with a draggable line between each two; they can be enlarged.

    Args:
        pictures: two or more, left to right.
        tags: their names.
        caption: pairs of (name, value), shown below: ("PSNR", "31.2 dB").
        scale: factor by which the difference mode multiplies the absolute difference.
        difference: PNG of the difference of the outer two; drawn in the browser when None.
    """

    title: str
    pictures: Sequence[bytes]
    tags: Sequence[str] = ("Full", "Accelerated")
    caption: Sequence[tuple[str, str]] = ()
    scale: float = 4.0
    difference: bytes | None = None
    subtitle: str = ""

    def __post_init__(self) -> None:
        if len(self.pictures) < 2 or len(self.pictures) != len(self.tags):
            raise ValueError(
                f"{len(self.pictures)} pictures with {len(self.tags)} tags; needed at least two, "
                "and a tag for each"
            )


@dataclass(frozen=True)
class Thumb:
    """One picture of a row.

    Args:
        key: goes to `View.choose` when the picture is opened.
        loads: whether `View.load` has settings for the key.
    """

    png: bytes
    alt: str
    key: str = ""
    loads: bool = False


@dataclass(frozen=True)
class ImageRow:
    """The pictures of one method, one per column (equal seeds)."""

    method: Mark
    label: str
    note: str
    images: Sequence[Thumb]


@dataclass(frozen=True)
class ImagesContent:
    """A grid of pictures: rows are methods, columns are seeds."""

    title: str
    subtitle: str
    columns: Sequence[str]
    rows: Sequence[ImageRow]
    chosen: str = ""


@dataclass(frozen=True)
class Figure:
    """One decision number with its interval, or "from formula"."""

    label: str
    value: str
    unit: str = ""
    interval: str = ""
    basis: Basis = "measured"


@dataclass(frozen=True)
class FiguresContent:
    """A strip of decision numbers."""

    figures: Sequence[Figure]
    title: str = ""
    subtitle: str = ""


@dataclass(frozen=True)
class Column:
    """A table column; numbers go right, optional columns hide in narrow cells, sentences wrap."""

    label: str
    number: bool = False
    optional: bool = False
    wrap: bool = False


@dataclass(frozen=True)
class Cell:
    """A table cell with a method's mark, weight, basis, or a bar of `share` in the method's hue.

    `verdict` is a glyph beside the text, which says it in words.
    """

    text: str
    method: Mark = None
    verdict: Verdict | None = None
    note: str = ""
    strong: bool = False
    basis: Basis = "measured"
    share: float | None = None


@dataclass(frozen=True)
class TableContent:
    """A table. `keys` (one per row) make rows clickable."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str]]
    title: str = ""
    subtitle: str = ""
    keys: Sequence[str] = ()


@dataclass(frozen=True)
class EmptyContent:
    """Nothing to show yet: one sentence, one action (`key` goes to `View.load`)."""

    title: str
    text: str
    action: str = ""
    key: str = ""


@dataclass(frozen=True)
class Pair:
    """Two pictures for a blind choice; the panel decides which side each goes to."""

    first: bytes
    second: bytes
    alt: str = ""


@dataclass(frozen=True)
class PairsContent:
    """A blind comparison of two methods; `names` are told only after the last pair."""

    title: str
    subtitle: str
    pairs: Sequence[Pair]
    names: tuple[str, str]
    question: str = "Which picture is better?"


@dataclass(frozen=True)
class PaintContent:
    """The place of a grid one can paint; its cells come with the hints, under the slot's id."""

    title: str
    subtitle: str = ""


@dataclass(frozen=True)
class DiagramContent:
    """The place of a network's diagram; its boxes come with the hints, under the slot's id."""

    title: str
    subtitle: str = ""


@dataclass(frozen=True)
class Share:
    """One part of a whole.

    Args:
        value: its size, in the unit of all parts.
        text: the same in words with its unit.
        free: whether it is what is left over, drawn empty.
    """

    label: str
    value: float
    text: str
    basis: Basis = "measured"
    free: bool = False


@dataclass(frozen=True)
class Bar:
    """A whole, cut into its parts."""

    label: str
    parts: Sequence[Share]
    note: str = ""


@dataclass(frozen=True)
class SharesContent:
    """Bars cut into parts, such as memory by what holds it."""

    title: str
    bars: Sequence[Bar]
    subtitle: str = ""


@dataclass(frozen=True)
class GalleryContent:
    """Pictures at their own size: one large, the others small beside it.

    Args:
        pictures: the key of each goes to `View.export` as "picture <key>" when it is saved.
        note: below the large one.
        saves: whether there is something to save; previews are not.
    """

    title: str
    pictures: Sequence[Thumb]
    subtitle: str = ""
    note: str = ""
    saves: bool = True


@dataclass(frozen=True)
class Written:
    """A text that a model writes.

    Args:
        label: the model's name.
        prompt: what it was given, shown paler.
        text: what it wrote so far.
        note: below the text, such as tokens a second.
        writing: whether more comes; a cursor then stands at the end.
    """

    label: str
    method: Mark
    prompt: str
    text: str
    note: str = ""
    writing: bool = False
    basis: Basis = "measured"


@dataclass(frozen=True)
class WrittenContent:
    """Texts side by side, one a model."""

    title: str
    texts: Sequence[Written]
    subtitle: str = ""


Content = (
    ChartContent
    | SplitContent
    | ImagesContent
    | FiguresContent
    | TableContent
    | EmptyContent
    | PairsContent
    | PaintContent
    | DiagramContent
    | SharesContent
    | GalleryContent
    | WrittenContent
)


@dataclass(frozen=True)
class ClaimRow:
    """One quantity of the claim: the paper's number, ours, and whether they agree."""

    what: str
    paper: str
    here: str = "not run"
    verdict: Verdict = "open"
    basis: Basis = "measured"


@dataclass(frozen=True)
class ClaimCard:
    """What a paper says and what was found here.

    Args:
        source: paper with table or section, the link's text.
        text: the claim in our words, one sentence.
        columns: heads of the paper's and our column.
        verdict, reason: the whole, with its reason in one sentence.
        setting: setting and device of both sides.
        details: thresholds of the rows, unfolded on request.
        bibtex: the entry, copied on request.
    """

    source: str
    url: str
    text: str
    rows: Sequence[ClaimRow]
    verdict: Verdict
    reason: str
    setting: str = ""
    details: str = ""
    bibtex: str = ""
    columns: tuple[str, str, str] = ("", "paper", "here")


@dataclass(frozen=True)
class Picture:
    """Everything on the screen at one moment.

    Args:
        contents: by slot id; a slot left out keeps what it showed, marked stale.
        claim: of the method looked at; None where it makes none.
        beside: further claims, below the first.
        basis: predicted (cost models), measured (run here now) or recorded (run earlier).
        details: parts of the status line, most important first.
        when: date of a recorded result, in words ("3 June").
        device: where it was measured, with versions.
        comparison: the tables behind it, for exports; None for what is not measured.
    """

    contents: Mapping[str, Content] = field(default_factory=dict)
    claim: ClaimCard | None = None
    basis: Basis = "measured"
    details: Sequence[str] = ()
    when: str = ""
    device: str = ""
    comparison: Comparison | None = field(default=None, repr=False, compare=False)
    beside: Sequence[ClaimCard] = ()

    @property
    def claims(self) -> tuple[ClaimCard, ...]:
        """All claims, the first one first."""
        return (*([self.claim] if self.claim else []), *self.beside)

    @property
    def first_chart(self) -> Chart | None:
        """The chart that stands first, or None without one."""
        charts = (getattr(content, "chart", None) for content in self.contents.values())
        return next((chart for chart in charts if chart is not None), None)
