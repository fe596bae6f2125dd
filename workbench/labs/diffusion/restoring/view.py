"""The panel of super-resolution: one picture, three ways, and a study that says which is better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.labs.diffusion.picture_files import png_with_settings, zipped
from workbench.labs.diffusion.restoring import claims, shown
from workbench.labs.diffusion.restoring.form import (
    GROUPS,
    PRESETS,
    STUDY,
    degradation_problem,
)
from workbench.labs.diffusion.restoring.recorded import about, recorded, study
from workbench.labs.diffusion.restoring.restored import Restored, folder, restored
from workbench.labs.diffusion.restoring.source import picture_problem, source
from workbench.measure import device
from workbench.panels.charted import EXPORTS, ChartedView, changed
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, Content, Picture
from workbench.panels.settings import cache_key, defaults, merged, parse, plain
from workbench.panels.view import Export, Problem, Slot, Values
from workbench.progress import Report, silent

PICTURES = Export("pictures", "Pictures with their settings", ".zip", behind=True)


def super_resolution(
    restorers: str | Path | None = None,
    *,
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> Panel:
    """A panel that makes a picture worse and restores it three ways.

    Args:
        restorers: folder that `python -m workbench.diffusion.super_resolution.train` wrote; the
            shipped one when None.
        settings: what "Copy settings" gave.
    """
    return Panel(SuperResolutionView(restorers), settings=settings)


def restore(
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    restorers: str | Path | None = None,
    report: Report = silent,
) -> Restored:
    """What the panel runs, without it.

    Args:
        settings: of the form, by group.
        restorers: as of `super_resolution`.
        report: progress.

    Raises:
        ValueError: settings or a picture that cannot be taken.
        CheckpointError: a folder without restorers.
    """
    values, problems = parse(GROUPS, merged(defaults(GROUPS), settings or {}))
    problems = problems or [*picture_problem(values or {}), *degradation_problem(values or {})]
    if values is None or problems:
        raise ValueError(problems[0].message)
    return list(restored(source(values), folder(restorers), report))[-1]


class SuperResolutionView(ChartedView):
    """A picture in, bicubic, 8x and 4x out.

    Args:
        restorers: see `super_resolution`.
    """

    title = "Super-resolution"
    study_line = "4 × larger, one step: Stable Diffusion’s kind of 8× latents against TVT’s 4× ones"
    automatic = True
    verb = "Restore"
    file_name = "super-resolution"
    groups = GROUPS
    presets = PRESETS
    exports = (*EXPORTS, PICTURES)
    layout = (
        (Slot("split", "split", 1.0), Slot("judged", "chart", 1.2)),
        (Slot("spots", "images", height=64),),
        (Slot("measures", "table"),),
        (Slot("costs", "table", folded=True),),
        (Slot("latents", "table", folded=True),),
        (Slot("verdicts", "table", folded=True),),
    )

    def __init__(self, restorers: str | Path | None = None) -> None:
        self.given = restorers
        self.known: dict[str, Restored] = {}

    def check(self, values: Values) -> list[Problem]:
        """A file that cannot be taken; numbers that do not go together."""
        return [*picture_problem(values), *degradation_problem(values)]

    def predict(self, values: Values) -> Picture | None:
        """Pictures of these settings where they are known or ship; the study always."""
        known = self.known.get(_asked(values))
        if known is not None:
            return self._picture(known, values, "measured")
        found = recorded(values) if self.given is None else None
        if found is not None:
            return self._picture(found, values, "recorded")
        return Picture(self._study(values), claim=claims.card(study()), basis="predicted")

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """Bicubic at once, then 8x, then 4x."""
        asked = _asked(values)
        if asked in self.known:
            yield self._picture(self.known[asked], values, "measured")
            return
        report(0, 1, "Reading the restorers; a new size compiles")
        for found in restored(source(values), folder(self.given), report):
            last = found
            yield self._picture(found, values, "measured")
        self.known[asked] = last

    def choose(self, key: str, values: Values, picture: Picture) -> Picture | None:
        """The spot that was clicked, in the viewer."""
        found = self.known.get(_asked(values)) or recorded(values)
        place = key.rpartition("|")[2]
        if found is None or not place.isdecimal():
            return None
        contents = {
            **picture.contents,
            "split": shown.split(found, int(place)),
            "spots": shown.spots(found, int(place)),
        }
        return replace(picture, contents=contents)

    def _picture(self, found: Restored, values: Values, basis: Any) -> Picture:
        contents: dict[str, Content] = {
            "split": shown.split(found),
            "spots": shown.spots(found),
            "measures": shown.measures(found),
            **self._study(values),
        }
        ships = basis == "recorded"
        return Picture(
            contents,
            claim=claims.card(study()),
            basis=basis,
            details=(found.source.name,),
            when=str(about()["date"]) if ships else "",
            device=str(about()["device"]) if ships else device.label(),
        )

    def _study(self, values: Values) -> dict[str, Content]:
        knobs: Any = values[STUDY]
        return {
            "judged": ChartContent.of(shown.judged(study(), knobs.metric)),
            "costs": shown.costs(study()),
            "latents": shown.latents(study()),
            "verdicts": shown.verdict_table(study()),
        }

    def code(self, values: Values) -> str:
        """Lines that restore the same picture."""
        given = "" if self.given is None else f", restorers={str(self.given)!r}"
        return "\n".join([
            "from workbench.labs import diffusion",
            "",
            f"found = diffusion.restore({changed(values)}{given})",
            'found.pictures["4×"]  # [height, width, 3] in [0, 1]',
            'found.quality("4×")',
            "",
        ])  # fmt: skip

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """The pictures as files, or what every chart offers."""
        if kind != PICTURES.kind:
            return super().export(kind, values, picture)
        found = self.known.get(_asked(values)) or recorded(values)
        if found is None:
            raise ValueError("There is no picture yet; press Restore first")
        files = [
            (f"{name}.png", png_with_settings(pixels, {**plain(values), "way": name}))
            for name, pixels in shown.files(found).items()
        ]
        return "super-resolution.zip", zipped(files)


def _asked(values: Values) -> str:
    """What a restoration follows from: all but how the study is judged."""
    return cache_key({name: knobs for name, knobs in values.items() if name != STUDY})
