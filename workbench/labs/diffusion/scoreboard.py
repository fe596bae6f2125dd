"""The table under the charts: every quality and cost, one row a method, and the verdicts."""

from __future__ import annotations

from workbench.figures import numbers
from workbench.labs.diffusion.points import Point
from workbench.labs.diffusion.scene import Scene
from workbench.panels.picture import Cell, Column, TableContent
from workbench.study.comparison import Interval

COLUMNS = (
    Column("Method"),
    Column("Right class", number=True),
    Column("SSIM", number=True),
    Column("PSNR, dB", number=True),
    Column("Fine detail, ×", number=True, optional=True),
    Column("Toy-FID", number=True, optional=True),
    Column("Diversity", number=True, optional=True),
    Column("GMACs", number=True),
    Column("Kept", number=True, optional=True),
    Column("Time", number=True),
)


def scoreboard(scene: Scene, pictures: int) -> TableContent:
    """What is known of every method; hollow where it is predicted."""
    return TableContent(
        columns=COLUMNS,
        rows=[_row(scene, index) for index in range(len(scene.methods))],
        title="What does each plan keep, and what does it cost?",
        subtitle=f"Means over {pictures} pictures per method. Toy-FID: kernel distance to the real "
        "test digits in the features of the shipped classifier; lower is better. Kept: features "
        "held between steps, one picture.",
        keys=[method.code() for method in scene.methods],
    )


def _row(scene: Scene, index: int) -> list[Cell | str]:
    method = scene.methods[index]
    point = scene.point(method)
    name = Cell(method.name, method=scene.slot(method))
    if point is None:
        return [name, *("–" for _ in COLUMNS[1:])]
    qualities = [
        _quality(point, "agreement", " %"),
        _quality(point, "ssim"),
        _quality(point, "psnr") if index else Cell("–"),
        _quality(point, "detail") if index else Cell("–"),
        _quality(point, "toy_fid"),
        _quality(point, "diversity"),
    ]
    kept = numbers.memory(point.kept_bytes) if point.kept_bytes else "–"
    return [name, *qualities, numbers.number(point.gmacs), kept, _time(point)]


def _quality(point: Point, name: str, unit: str = "") -> Cell:
    known = point.quality.get(name)
    if known is None or known.value != known.value:
        return Cell("–")
    return Cell(f"{numbers.number(known.value)}{unit}", note=_ends(known), strong=True)


def _ends(known: Interval) -> str:
    if not known.known or known.low == known.high:
        return ""
    return f"{numbers.number(known.low)}–{numbers.number(known.high)}"


def _time(point: Point) -> Cell:
    if point.seconds is None:
        return Cell("–")
    if point.basis == "predicted":
        return Cell(numbers.predicted(numbers.seconds(point.seconds.value)), basis="predicted")
    note = f"{numbers.number(point.seconds.low)}–{numbers.number(point.seconds.high)}"
    return Cell(numbers.seconds(point.seconds.value), note=note, strong=True)
