"""The table under the charts: every quality and cost, one row a method, and the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workbench.figures import numbers
from workbench.labs.diffusion.points import Point
from workbench.labs.diffusion.scene import Scene
from workbench.measure.cost import Cost
from workbench.measure.intervals import Interval
from workbench.panels.picture import Cell, Column, TableContent
from workbench.study.utilisation import PEAKS, SENSOR

COLUMNS = (
    Column("Method"),
    Column("Right class", number=True),
    Column("SSIM", number=True),
    Column("PSNR", number=True),
    Column("Fine detail", number=True, optional=True),
    Column("Toy-KID", number=True),
    Column("Toy-FID", number=True),
    Column("Diversity", number=True, optional=True),
    Column("GMACs", number=True),
    Column("Kept", number=True, optional=True),
    Column("Peak", number=True),
    Column("Time", number=True),
)


def scoreboard(scene: Scene, pictures: int) -> TableContent:
    """What is known of every method; hollow where it is predicted.

    Use of the device and energy have a column once one method has them.
    """
    points = [point for point in map(scene.point, scene.methods) if point is not None]
    use = [column for column in USE if any(column.of(point.cost) for point in points)]
    return TableContent(
        columns=(*COLUMNS, *(Column(one.label, number=True, optional=True) for one in use)),
        rows=[
            [*_row(scene, index), *(one.cell(scene.point(method)) for one in use)]
            for index, method in enumerate(scene.methods)
        ],
        title="What does each plan keep and cost?",
        subtitle=f"Means over {pictures} pictures with 95 % intervals. PSNR in dB. Fine "
        "detail: power at high frequencies against the full run. Toy-KID: kernel distance to real "
        "test pictures of the class in a small classifier’s features, lower is better. Toy-FID "
        f"(features: the same classifier’s, n={pictures}): Fréchet distance, all classes pooled, "
        "too high for few pictures. Kept: held between steps. Peak: memory above imports, in a "
        "process of its own." + _sources(points),
        keys=[method.code() for method in scene.methods],
    )


@dataclass(frozen=True)
class Use:
    """A column on the device's part in it, read off a measured cost."""

    label: str
    of: Callable[[Cost], float | None]
    write: Callable[[float], str]

    def cell(self, point: Point | None) -> Cell:
        value = None if point is None else self.of(point.cost)
        return Cell("–") if value is None else Cell(self.write(value), strong=True)


USE = (
    Use("Of peak", lambda cost: cost.compute_utilisation, numbers.percent),
    Use("Energy", lambda cost: cost.energy, lambda value: f"{numbers.number(value)} J"),
)


def _sources(points: Sequence[Point]) -> str:
    """What use of the device is held against, and why there is no energy where there is none."""
    known = {name: text for point in points for name, text in point.sources.items()}
    said = ""
    if PEAKS in known:
        said += f" Of peak: arithmetic a second against {known[PEAKS].partition(';')[0]}."
    if SENSOR in known:
        missing = known[SENSOR].startswith("none: ")
        said += f" No energy: {known[SENSOR].removeprefix('none: ')}." if missing else (
            f" Energy: of one picture, by {known[SENSOR]}, other programs included.")  # fmt: skip
    return said


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
        _quality(point, "toy_fid"),
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
    note = _note(known) if spread and known.high > known.low else ""
    return Cell(f"{numbers.number(known.value)}{unit}", note=note, strong=True)


def _note(known: Interval) -> str:
    """Half the interval, or its ends where they lie unequally far: a share stays within 100 %."""
    up, down = known.high - known.value, known.value - known.low
    if abs(up - down) > 0.01 * (up + down):
        return f"{numbers.number(known.low, 2)}–{numbers.number(known.high, 2)}"
    return f"±{numbers.number((up + down) / 2, 2)}"


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
