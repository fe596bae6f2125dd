"""Copy as code, and the files of the export menu."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from pprint import pformat
from typing import TYPE_CHECKING, Any

from workbench.labs.diffusion.methods import DEFAULT, ROUNDS, MethodClass, chosen, sampling
from workbench.panels.picture import Picture
from workbench.panels.view import Export, Values

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline
    from workbench.labs.diffusion.own_networks import OwnNetworks
    from workbench.labs.diffusion.view import DiffusionView
    from workbench.study.comparison import Comparison

MENU = (
    Export("zip", "Figure and data", ".zip"),
    Export("svg", "Picture", ".svg"),
    Export("png", "Picture", ".png"),
    Export("pdf", "Picture", ".pdf"),
    Export("html", "Web page, works offline", ".html"),
    Export("csv", "Table", ".csv", behind=True),
    Export("json", "Settings and versions", ".json", behind=True),
)

NAME = "diffusion-acceleration"


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
        ValueError: for a kind that is not on the menu, or tables of what is not measured.
    """
    from workbench.figures import export
    from workbench.figures.record import versions

    chart = picture.first_chart
    assert chart is not None, "the lab's picture has charts"
    if kind == "csv":
        comparison = _measured(picture)
        return f"{NAME}.csv", comparison.tables.trials.to_csv(index=False).encode()
    if kind == "json":
        import json

        drawn_and_run = {**versions(), "jax": version("jax"), "flax": version("flax")}
        about = {**settings(view, values), "versions": drawn_and_run}
        return f"{NAME}.json", json.dumps(about, indent=1, ensure_ascii=False).encode()
    if kind not in [entry.kind for entry in MENU]:
        raise ValueError(f"There is no export of kind {kind!r}")
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / f"{NAME}.{kind}"
        if kind == "zip":
            comparison = _measured(picture)
            export.export_figure(chart, comparison.tables, settings(view, values), file)
        else:
            export.write(chart, file)
        return file.name, file.read_bytes()


def _measured(picture: Picture) -> Comparison:
    """The run behind the picture, never another setting's."""
    if picture.comparison is None:
        raise ValueError("These settings have not been measured yet. Run them first")
    return picture.comparison
