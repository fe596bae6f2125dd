"""The table under the charts: every quality and cost, one row a method, and the verdicts."""

from __future__ import annotations

from workbench.figures import numbers
from workbench.labs.diffusion.points import Point
from workbench.labs.diffusion.scene import Scene
from workbench.panels.picture import Cell, Column, TableContent

COLUMNS = (
    Column("Method"),
    Column("Right class", number=True),
    Column("SSIM", number=True),
    Column("PSNR", number=True),
    Column("Fine detail", number=True, optional=True),
    Column("Toy-KID", number=True),
    Column("Diversity", number=True, optional=True),
    Column("GMACs", number=True),
    Column("Kept", number=True, optional=True),
    Column("Peak", number=True),
    Column("Time", number=True),
)


def scoreboard(scene: Scene, pictures: int) -> TableContent:
    """What is known of every method; hollow where it is predicted."""
    return TableContent(
        columns=COLUMNS,
        rows=[_row(scene, index) for index in range(len(scene.methods))],
        title="What does each plan keep, and what does it cost?",
        subtitle=f"Means over {pictures} pictures, ± half a 95 % interval. PSNR in dB. Fine "
        "detail: power at high frequencies against the full run. Toy-KID: kernel distance to real "
        "test pictures of the class in a small classifier’s features, lower is better. Kept: "
        "held between steps. Peak: memory above imports, in a process of its own.",
        keys=[method.code() for method in scene.methods],
    )


def _row(scene: Scene, index: int) -> list[Cell | str]:
    method = scene.methods[index]
    point = scene.point(method)
    name = Cell(method.name, method=scene.slot(method))
    if point is None:
        return [name, *("–" for _ in COLUMNS[1:])]
    qualities = [
        _quality(point, "agreement", " %", spread=True),
        _quality(point, "ssim", spread=True),
        _quality(point, "psnr") if index else Cell("–"),
        _quality(point, "detail") if index else Cell("–"),
        _quality(point, "toy_kid"),
        _quality(point, "diversity"),
    ]
    kept = numbers.memory(point.kept_bytes) if point.kept_bytes else "–"
    return [name, *qualities, numbers.number(point.gmacs), kept, _peak(point), _time(point)]


def _quality(point: Point, name: str, unit: str = "", spread: bool = False) -> Cell:
    known = point.quality.get(name)
    if known is None or known.value != known.value:
        return Cell("–")
    if point.basis == "predicted":
        return Cell(numbers.predicted(numbers.number(known.value)), basis="predicted")
    half = (known.high - known.low) / 2
    note = f"±{numbers.number(half, 2)}" if spread and half > 0 else ""
    return Cell(f"{numbers.number(known.value)}{unit}", note=note, strong=True)


def _peak(point: Point) -> Cell:
    if point.peak_bytes is None:
        return Cell("–")
    return Cell(numbers.memory(point.peak_bytes), strong=True)


def _time(point: Point) -> Cell:
    if point.seconds is None:
        return Cell("–")
    if point.basis == "predicted":
        return Cell(numbers.predicted(numbers.seconds(point.seconds.value)), basis="predicted")
    return Cell(numbers.seconds(point.seconds.value), strong=True)
