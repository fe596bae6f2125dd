"""Copy as code, and the files of the export menu."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from pprint import pformat
from typing import TYPE_CHECKING, Any

from workbench.figures.export import csv_text, export_figure
from workbench.figures.export import write as write_chart
from workbench.figures.record import versions
from workbench.labs.diffusion.methods import DEFAULT, ROUNDS, MethodClass, chosen, sampling
from workbench.panels.charted import EXPORTS, chart_in, others
from workbench.panels.picture import Cell, ImagesContent, Picture, TableContent
from workbench.panels.view import Export, Slot, Values

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline
    from workbench.figures.chart import Chart
    from workbench.labs.diffusion.own_networks import OwnNetworks
    from workbench.labs.diffusion.view import DiffusionView
    from workbench.study.comparison import Comparison

JSON = Export("json", "Settings and versions", ".json", behind=True)
CHARTS = {
    "drift": "Drift map",
    "arithmetic": "Arithmetic and time",
    "error": "Error by step",
    "spectrum": "Spectrum",
}
"""Charts beside the first one, by slot."""

OTHERS = {
    **{entry.kind.partition(" ")[2]: entry for entry in others(**CHARTS)},
    "scoreboard": Export("csv scoreboard", "Scoreboard", ".csv", behind=True),
    "grid": Export("png grid", "Image grid", ".png", behind=True),
}

NAME = "diffusion-acceleration"


def menu(layout: Sequence[Sequence[Slot]]) -> tuple[Export, ...]:
    """The files of a panel's picture: the first chart, settings, and each further slot it has."""
    slots = {slot.id for row in layout for slot in row}
    return (*EXPORTS, JSON, *(entry for slot, entry in OTHERS.items() if slot in slots))


def code(view: DiffusionView, values: Values) -> str:
    """Python that makes the panel's table without the panel: its qualities and its costs.

    Rounds and memory are those of the table on the screen, else those of a run with these settings.
    """
    knobs, shown = sampling(values), view.comparison(values)
    listed = chosen(view.methods, values)
    rounds = (shown.rounds if shown else 0) or ROUNDS
    weighed = knobs.memory or (shown is not None and "cost.peak_memory" in shown.tables.columns)
    note, model = model_code(view.pipeline)
    given = f"{model}, " if model else ""
    more = ", memory=True" * weighed + ", networks=networks" * (view.networks is not None)
    peaks = ", peaks=peaks" * (view.peaks is not None)
    return "\n".join(
        [
            "from workbench import compare",
            *_imports([type(method) for method in listed]),
            "from workbench.labs import diffusion",
            *([] if view.peaks is None else ["from workbench.measure.roofline import Peaks"]),
            "",
            *note,
            *_networks_code(view.networks),
            *([] if view.peaks is None else [f"peaks = {pformat(view.peaks, width=96)}"]),
            f"study = diffusion.study({given}sampler={knobs.sampler!r}, steps={knobs.steps}, "
            f"guidance={knobs.guidance!r}, seeds={knobs.seeds}{more})",
            "methods = [",
            *(f"    {method.code()}," for method in listed),
            "]",
            f"comparison = compare(methods, study, repeats={rounds}{peaks})",
            "comparison",
            "",
        ]
    )


def _networks_code(networks: OwnNetworks | None) -> list[str]:
    """The line that loads networks of one's own, or what to bind where no file holds them."""
    if networks is None:
        return []
    if not networks.files:
        return ["# No file holds this panel's networks: bind `networks` to what networks= was."]
    given = ", ".join(f"{name}={file!r}" for name, file in networks.files.items())
    return [f"networks = diffusion.OwnNetworks.load({given})"]


def blind_code(
    methods: Sequence[MethodClass],
    values: Mapping[str, Mapping[str, Any]],
    pipeline: Pipeline | None = None,
) -> str:
    """Python that opens the blind pairs of these settings."""
    note, model = model_code(pipeline)
    lines = ["from workbench.labs import diffusion", "", *note]
    lines.append(f"settings = {pformat(values, width=96)}")
    given = ["settings=settings"]
    if model:
        given.append(f"pipeline={model}")
    if tuple(methods) != DEFAULT:
        lines = [*_imports(methods), *lines]
        given.append(f"methods=[{', '.join(method.__name__ for method in methods)}]")
    return "\n".join([*lines, f"diffusion.blind({', '.join(given)})", ""])


def model_code(pipeline: Pipeline | None) -> tuple[list[str], str]:
    """What to say before the code, and how it names the model; nothing for the shipped one."""
    if pipeline is None:
        return [], ""
    if pipeline.home:
        from workbench.labs.diffusion.sampling_study import beside_folder

        given = "".join(f", {name}={value!r}" for name, value in beside_folder(pipeline).items())
        return [], f"diffusion.pipeline({pipeline.home!r}{given})"
    return ["# No folder holds this panel's model: bind `model` to what pipeline= was."], "model"


def _imports(classes: Sequence[MethodClass]) -> list[str]:
    homes: dict[str, list[str]] = {}
    for method in classes:
        homes.setdefault(method.__module__, []).append(method.__name__)
    return [f"from {home} import {', '.join(sorted(n))}" for home, n in sorted(homes.items())]


def settings(view: DiffusionView, values: Values) -> dict[str, Any]:
    """Every knob, and where the shipped part of the figure was measured."""
    shipped = view.recorded
    return {
        "panel": {group: knobs.model_dump(mode="json") for group, knobs in values.items()},
        "recorded": None if shipped is None else {"device": shipped.device, "date": shipped.date},
    }


def write(kind: str, view: DiffusionView, values: Values, picture: Picture) -> tuple[str, bytes]:
    """One file of the picture with these settings: its name and content.

    Raises:
        ValueError: for a kind that is not on the menu, or what is not measured or not drawn yet.
    """
    if kind not in [entry.kind for entry in view.exports]:
        raise ValueError(f"There is no export of kind {kind!r}")
    ending, _, slot = kind.partition(" ")
    name = f"{NAME}-{slot}.{ending}" if slot else f"{NAME}.{ending}"
    about = settings(view, values)
    if kind == "csv":
        return name, _measured(picture).tables.trials.to_csv(index=False).encode()
    if kind == "json":
        return name, _json(about)
    if slot == "scoreboard":
        return name, csv_text(_shown_rows(picture)).encode()
    if slot == "grid":
        return name, _sheet(picture, about)
    return name, _chart(name, _drawn(picture, slot), picture, about)


def _chart(name: str, chart: Chart, picture: Picture, about: Mapping[str, Any]) -> bytes:
    """A chart as a file of that name; as .zip with its rows and the tables behind it."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / name
        if file.suffix == ".zip":
            tables = _measured(picture).tables
            named: dict[str, Any] = {t: getattr(tables, t) for t in ("trials", "series", "arrays")}
            shown = _shown_rows(picture)
            export_figure(chart, named | ({"scoreboard": shown} if shown else {}), about, file)
        else:
            write_chart(chart, file)
        return file.read_bytes()


def _drawn(picture: Picture, slot: str) -> Chart:
    chart = chart_in(picture, slot) if slot else picture.first_chart
    if chart is None or not chart.source:
        raise ValueError("Nothing is drawn there yet. Run first")
    return chart


def _json(about: Mapping[str, Any]) -> bytes:
    drawn_and_run = {**versions(), "jax": version("jax"), "flax": version("flax")}
    return json.dumps({**about, "versions": drawn_and_run}, indent=1, ensure_ascii=False).encode()


def _shown_rows(picture: Picture) -> list[dict[str, str]]:
    """The scoreboard as it is shown, intervals behind their values; none on a panel without."""
    table = picture.contents.get("scoreboard")
    if not isinstance(table, TableContent):
        return []
    labels = [column.label for column in table.columns]
    return [dict(zip(labels, map(_words, row), strict=True)) for row in table.rows]


def _words(cell: Cell | str) -> str:
    return cell if isinstance(cell, str) else f"{cell.text} {cell.note}".strip()


def _sheet(picture: Picture, about: Mapping[str, Any]) -> bytes:
    from workbench.labs.diffusion.picture_sheet import sheet

    grid = picture.contents.get("grid")
    if not isinstance(grid, ImagesContent):
        raise ValueError("There are no pictures of these settings yet. Run them first")
    return sheet(grid, about)


def _measured(picture: Picture) -> Comparison:
    """The run behind the picture, never another setting's."""
    if picture.comparison is None:
        raise ValueError("These settings have not been measured yet. Run them first")
    return picture.comparison
