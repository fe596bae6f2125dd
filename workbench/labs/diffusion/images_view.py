"""Text to image: prompts on a checkpoint of one's own, with previews, cost by part and memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from workbench.labs.diffusion import images_shown as shown
from workbench.labs.diffusion.foresight import device_label
from workbench.labs.diffusion.generation import Generated, in_parts, labels_of, prepared
from workbench.labs.diffusion.images_code import code
from workbench.labs.diffusion.images_form import (
    CHECKPOINT,
    DRAWING,
    GROUPS,
    PROMPT,
    method_of,
    path_problem,
    presets,
    seeds_of,
    set_up,
)
from workbench.labs.diffusion.model_shelf import Shelf
from workbench.labs.diffusion.picture_files import png_with_settings, zipped
from workbench.labs.diffusion.recorded import recorded
from workbench.labs.diffusion.room import is_out_of_memory
from workbench.panels.panel import Panel
from workbench.panels.picture import Content, EmptyContent, Picture
from workbench.panels.settings import plain
from workbench.panels.view import Export, Hints, Problem, Slot, Values, View
from workbench.progress import Report

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

RECORDED = {"sampler": "own", "steps": None, "guidance": None, "height": None, "width": None}


def text_to_image(
    pipeline: Pipeline | None = None,
    *,
    checkpoint: str = "",
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> Panel:
    """A panel that draws pictures from prompts, or from classes.

    Args:
        pipeline: the model; the shipped digits when None.
        checkpoint: what its path field starts with, instead of a pipeline.
        settings: what "Copy settings" gave.
    """
    if checkpoint and settings is None:
        settings = {CHECKPOINT: {"path": checkpoint}}
    return Panel(ImagesView(pipeline), settings=settings)


class ImagesView(View):
    """Prompts in, pictures out, on any checkpoint the workbench reads."""

    title = "Text to image"
    automatic = False
    verb = "Draw"
    groups = GROUPS
    exports = (
        Export("pictures", "Pictures with their settings", ".zip"),
        Export("settings", "Settings", ".json", behind=True),
    )
    layout = (
        (Slot("pictures", "gallery"),),
        (Slot("seconds", "shares"), Slot("memory", "shares")),
    )

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        self.shelf = Shelf(pipeline)
        self.presets = presets(pipeline is not None and pipeline.reads_text)
        self.study_line = shown.study_line(pipeline)
        self.made: Generated | None = None

    # -- settings ---------------------------------------------------------------------------

    def check(self, values: Values) -> list[Problem]:
        """A path that leads nowhere, and what the model that is loaded cannot draw."""
        knobs: Any = values[CHECKPOINT]
        wrong = path_problem(knobs.path)
        if wrong:
            return [Problem("error", "path", wrong, CHECKPOINT)]
        pipeline = self.shelf.known(knobs)
        if pipeline is None:
            # What failed may be mended by now: it is said, and may be tried again.
            failed = self.shelf.failures.get(self.shelf.key(knobs))
            return [Problem("warn", "path", failed, CHECKPOINT)] if failed else []
        try:
            chosen = set_up(pipeline, values)
        except ValueError as error:
            field = str(error).split(maxsplit=1)[0].lower()
            fields = ("steps", "guidance", "height", "width")
            return [Problem("error", field if field in fields else "", str(error), DRAWING)]
        return [*self._asked(chosen, values), *self._planned(chosen, values)]

    def _asked(self, pipeline: Pipeline, values: Values) -> list[Problem]:
        knobs: Any = values[PROMPT]
        if pipeline.reads_text:
            return []
        if knobs.negative:
            text = f"{pipeline.name} reads classes, so there is no negative prompt"
            return [Problem("error", "negative", text, PROMPT)]
        try:
            labels_of(pipeline, knobs.prompt, seeds_of(values))
        except ValueError as error:
            return [Problem("error", "prompt", str(error), PROMPT)]
        return []

    def _planned(self, pipeline: Pipeline, values: Values) -> list[Problem]:
        method = method_of(values)
        if method is not None:
            try:
                method.outline(pipeline)
            except ValueError as error:
                return [Problem("error", "", str(error), "plan")]
        room = self.shelf.room(pipeline, values)
        if room is None or room.fits:
            return []
        return [Problem("error", "at_once", shown.too_large(room, pipeline, values), DRAWING)]

    def hints(self, values: Values) -> Hints:
        """The plan group is in use where it is not full sampling."""
        return Hints(active=() if method_of(values) is None else ("plan",))

    # -- pictures ---------------------------------------------------------------------------

    def predict(self, values: Values) -> Picture | None:
        """Recorded pictures of the shipped model, where these settings have them; else None."""
        found = self._recorded(values)
        if found is not None:
            return found
        knobs: Any = values[CHECKPOINT]
        pipeline = self.shelf.known(knobs)
        contents: dict[str, Content] = {}
        if pipeline is None:
            name = knobs.path or "the shipped digits"
            text = f"{self.verb} loads {name} first."
            contents["pictures"] = EmptyContent("Nothing drawn yet", text, self.verb)
            return Picture(contents, basis="predicted", device=device_label())
        room = self.shelf.room(set_up(pipeline, values), values)
        if room is not None:
            contents["memory"] = shown.memory_bar(room, self.shelf.bytes(pipeline))
        return Picture(contents, basis="predicted", device=device_label()) if contents else None

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """Load if need be, then draw: previews on the way, a picture after each group."""
        knobs: Any = values[CHECKPOINT]
        pipeline = self.shelf.load(knobs, report)
        chosen = set_up(pipeline, values)
        method = method_of(values)
        drawing: Any = values[DRAWING]
        if method is not None:
            prepared(method, chosen, min(drawing.at_once, drawing.count))
        self.shelf.count(pipeline, report)
        small = self.shelf.preview(pipeline, report)
        prompt: Any = values[PROMPT]
        finished: list[Generated] = []

        def told(done: int, total: int, note: str = "", preview: Any = None) -> None:
            picture = None if preview is None else self._preview(preview, note, chosen, finished)
            report(done, total, note, picture)

        try:
            for made in in_parts(
                chosen,
                prompt.prompt,
                negative=prompt.negative,
                seeds=seeds_of(values),
                method=method,
                at_once=drawing.at_once,
                report=told,
                preview=small,
            ):
                finished[:] = [made]
                self.made = made
                yield self._finished(made, chosen, values)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            room = self.shelf.room(chosen, values)
            raise MemoryError(shown.ran_out(room, chosen, values)) from error

    def _preview(
        self, small: Any, note: str, pipeline: Pipeline, finished: list[Generated]
    ) -> Picture:
        before = finished[0] if finished else None
        gallery = shown.preview(small, note, pipeline, before)
        return Picture({"pictures": gallery}, device=device_label())

    def _finished(self, made: Generated, pipeline: Pipeline, values: Values) -> Picture:
        contents: dict[str, Content] = {
            "pictures": shown.gallery(made, pipeline, method_of(values)),
            "seconds": shown.cost_bars(made, pipeline, self.shelf.macs(pipeline, values)),
        }
        room = self.shelf.room(pipeline, values)
        if room is not None:
            contents["memory"] = shown.memory_bar(room, self.shelf.bytes(pipeline))
        return Picture(contents, details=[shown.each(made)], device=device_label())

    def _recorded(self, values: Values) -> Picture | None:
        """Pictures that shipped: of the shipped model, with its own settings and class by seed."""
        drawing: Any = values[DRAWING]
        prompt: Any = values[PROMPT]
        checkpoint: Any = values[CHECKPOINT]
        asked = all(getattr(drawing, name) == value for name, value in RECORDED.items())
        plain_words = not (prompt.prompt or prompt.negative or checkpoint.path)
        if self.shelf.given is not None or not (asked and plain_words):
            return None
        found, method = recorded(), method_of(values)
        code_of = "FullSampling()" if method is None else shown.recorded_code(found, method)
        pictures = found.pictures.get(code_of or "")
        if pictures is None or drawing.seed + drawing.count > len(pictures):
            return None
        return shown.recorded_picture(found, code_of or "", seeds_of(values))

    def svg(self, picture: Picture) -> str:
        """The pictures side by side, where no widget can live."""
        return shown.still(picture)

    # -- files ------------------------------------------------------------------------------

    def code(self, values: Values) -> str:
        """Lines that draw the same pictures."""
        return code(values, self.shelf.given)

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """Pictures with their settings inside; one, or all."""
        if kind == "settings":
            import json

            text = json.dumps(plain(values), indent=1, ensure_ascii=False)
            return "text-to-image.json", text.encode()
        made = None if picture.basis == "recorded" else self.made
        files = shown.recorded_files(picture) if made is None else self._files(made)
        if kind == "pictures":
            return "pictures.zip", zipped(files)
        wanted = f"seed-{kind.removeprefix('picture ')}.png"
        found = next((file for file in files if file[0] == wanted), None)
        if found is None:
            raise ValueError(f"There is no export of kind {kind!r}")
        return found

    def _files(self, made: Generated) -> list[tuple[str, bytes]]:
        return [
            (f"seed-{seed}.png", png_with_settings(picture, {**made.settings, "seed": seed}))
            for seed, picture in zip(made.seeds, made.pictures, strict=True)
        ]
