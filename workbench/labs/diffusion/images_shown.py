"""What text to image shows: the gallery, where the seconds go, what holds the memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.figures.numbers import count, memory, number, seconds
from workbench.labs.diffusion.generation import PARTS, Generated
from workbench.labs.diffusion.images_form import DRAWING
from workbench.labs.diffusion.picture_files import png_with_settings
from workbench.labs.diffusion.pictures import png
from workbench.labs.diffusion.recorded import Recorded
from workbench.labs.diffusion.room import Room, features, what_would_fit
from workbench.measure.memory import available_bytes
from workbench.panels.picture import Bar, GalleryContent, Picture, Share, SharesContent, Thumb
from workbench.panels.view import Values
from workbench.study.method import Method

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

NAMES = {"text": "text encoder", "sampling": "UNet", "decoding": "VAE"}
SHIPPED = "Shipped digits"
SECONDS = "Where do the seconds go?"
STILL = 8
"""Pictures that stand where no widget can live."""
MEMORY = "What holds the memory?"


def study_line(pipeline: Pipeline | None) -> str:
    """The model in one line."""
    if pipeline is None:
        return "Shipped digits, or a checkpoint of yours: name it under Checkpoint"
    size = sum(int(array.size) for array in pipeline.weights)
    height, width = pipeline.picture_size
    return f"{pipeline.name} · UNet of {count(size)} parameters · {height} × {width}"


def gallery(made: Generated, pipeline: Pipeline, method: Method | None) -> GalleryContent:
    """Finished pictures."""
    named = "full sampling" if method is None else method.name.lower()
    return GalleryContent(
        title=_title(made.settings.get("prompt", ""), pipeline),
        subtitle=f"{_sampling(pipeline)} · {named}",
        pictures=_thumbs(made.pictures, made.seeds),
    )


def preview(
    small: np.ndarray, note: str, pipeline: Pipeline, before: Generated | None
) -> GalleryContent:
    """Pictures on their way, after those that are finished."""
    done = [] if before is None else _thumbs(before.pictures, before.seeds)
    first = len(done)
    coming = [
        Thumb(png(picture), f"picture {first + i + 1}, a preview", f"preview {first + i}")
        for i, picture in enumerate(small)
    ]
    return GalleryContent(
        title="On the way",
        subtitle=f"{_sampling(pipeline)} · previews are fitted to the latents, not decoded",
        pictures=[*done, *coming],
        note=note,
        saves=False,
    )


def recorded_code(found: Recorded, method: Method) -> str | None:
    """The code of a recorded run of the same plan; None where there is none.

    Results do not depend on how many decoder steps share a batch.
    """
    code = method.code()
    return code if code in found.pictures else None


def recorded_picture(found: Recorded, code: str, seeds: Sequence[int]) -> Picture:
    """What shipped, with the recorded time of the UNet and this machine's free memory."""
    point, setting = found.points[code], found.setting
    pictures = found.pictures[code][list(seeds)]
    many = len(seeds)
    words = f"{str(setting['sampler']).upper()}, {setting['steps']} steps, guidance"
    words += f" {setting['guidance']:g} · {point.method.lower()} · run of {found.date}"
    contents: dict[str, Any] = {
        "pictures": GalleryContent(
            title="Digits of the shipped model, a class for each seed",
            subtitle=words,
            pictures=_thumbs(pictures, seeds),
        )
    }
    if point.seconds is not None:
        took = point.seconds.value * many
        part = Share(NAMES["sampling"], took, seconds(took), basis="recorded")
        bar = Bar(f"{many} pictures, 8 at a time", [part], seconds(took))
        contents["seconds"] = SharesContent(
            SECONDS, [bar], "This model samples pixels: no text encoder, no VAE"
        )
    from workbench.diffusion.plan import Plan

    costs = found.facts.costs
    held = features(costs, Plan.full(int(setting["steps"])), 2, many)
    room = Room(4.0 * found.facts.parameters, held, free=available_bytes())
    contents["memory"] = memory_bar(room, {"UNet": 4 * found.facts.parameters})
    return Picture(contents, basis="recorded", when=found.date, device=found.device)


def recorded_files(picture: Picture) -> list[tuple[str, bytes]]:
    """The shipped pictures on the screen, as files.

    Raises:
        ValueError: where there are none.
    """
    shown = picture.contents.get("pictures")
    if not isinstance(shown, GalleryContent) or not shown.saves:
        raise ValueError("There are no finished pictures yet. Draw them first")
    import io

    from PIL import Image

    about = {"model": SHIPPED, "sampled": shown.subtitle}
    files = []
    for thumb in shown.pictures:
        with Image.open(io.BytesIO(thumb.png)) as image:
            pixels = np.asarray(image)
        content = png_with_settings(pixels, {**about, "seed": int(thumb.key)})
        files.append((f"seed-{thumb.key}.png", content))
    return files


def still(picture: Picture) -> str:
    """The gallery as an SVG that needs nothing else; empty without finished pictures."""
    from base64 import b64encode

    content = picture.contents.get("pictures")
    if not isinstance(content, GalleryContent) or not content.saves:
        return ""
    side, gap = 96, 4
    tiles = [
        f'<image x="{place * (side + gap)}" y="0" width="{side}" height="{side}" '
        f'href="data:image/png;base64,{b64encode(thumb.png).decode()}"/>'
        for place, thumb in enumerate(content.pictures[:STILL])
    ]
    width = len(tiles) * (side + gap)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{side}" role="img">'
    return f"{head}<title>Pictures</title>{''.join(tiles)}</svg>"


def cost_bars(made: Generated, pipeline: Pipeline, macs: Mapping[str, float]) -> SharesContent:
    """Seconds and operations of the text encoder, the UNet and the VAE, apart."""
    present = [part for part in PARTS if made.seconds[part] > 0]
    if not pipeline.reads_text:
        present = [part for part in present if part != "text"]
    if pipeline.vae is None:
        present = [part for part in present if part != "decoding"]
    parts = [Share(NAMES[p], made.seconds[p], seconds(made.seconds[p])) for p in present]
    total = sum(part.value for part in parts)
    many = len(made.seeds)
    name = "1 picture" if many == 1 else f"{many} pictures"
    counted = [
        Share(part, value, f"{number(value / 1e9)} GMACs", basis="predicted")
        for part, value in macs.items()
    ]
    bars = [Bar(name, parts, f"{seconds(total)} in all")]
    if counted:
        whole = sum(part.value for part in counted)
        bars.append(Bar("Operations a picture", counted, f"{number(whole / 1e9)} GMACs, counted"))
    return SharesContent(SECONDS, bars, "Measured; a first run compiles too")


def memory_bar(room: Room, parts: dict[str, int]) -> SharesContent:
    """Weights by part, what the run needs beside them, and what is left."""
    held = [
        Share(f"{name} weights", float(size), memory(size)) for name, size in parts.items() if size
    ]
    needs = Share("activations", room.activations, memory(room.activations), basis="predicted")
    left: list[Share] = []
    note = "the device does not tell what is free"
    if room.free is not None:
        rest = max(room.free - room.activations, 0.0)
        left = [Share("free", rest, memory(rest), basis="predicted", free=True)]
        note = f"{memory(room.free)} free before the run"
    return SharesContent(
        MEMORY,
        [Bar("Device memory", [*held, needs, *left], note)],
        "Activations are estimated from the shapes, not measured",
    )


def each(made: Generated) -> str:
    """Seconds per picture."""
    total = sum(made.seconds.values()) / len(made.seeds)
    return f"{len(made.seeds)} pictures, {seconds(total)} each"


def too_large(room: Room, pipeline: Pipeline, values: Values) -> str:
    """That a run will not fit, and what would."""
    drawing: Any = values[DRAWING]
    together = min(drawing.at_once, drawing.count)
    multiple = pipeline.pixels_per_sample * pipeline.config.stride
    precision = pipeline.precision.name
    return what_would_fit(room, together, pipeline.picture_size, multiple, precision)


def ran_out(room: Room | None, pipeline: Pipeline, values: Values) -> str:
    """That a run did not fit, and what is smaller."""
    height, width = pipeline.picture_size
    drawing: Any = values[DRAWING]
    needs = "" if room is None else f" About {memory(room.activations)} were foreseen."
    fewer = "" if drawing.at_once == 1 else " fewer pictures at a time,"
    lighter = "" if pipeline.precision.name == "int8" else ", or weights in bfloat16 or int8"
    return (
        f"The device’s memory ran out at {height} × {width}, {drawing.at_once} at a time."
        f"{needs} Try{fewer} a smaller size{lighter}"
    )


def _thumbs(pictures: np.ndarray, seeds: Sequence[int]) -> list[Thumb]:
    return [
        Thumb(png(picture), f"seed {seed}", str(seed))
        for picture, seed in zip(pictures, seeds, strict=True)
    ]


def _title(prompt: str, pipeline: Pipeline) -> str:
    if not pipeline.reads_text:
        return f"Classes {prompt}" if prompt.strip() else "A class for each seed"
    short = prompt if len(prompt) <= 90 else f"{prompt[:88]}…"
    none = "A prompt of the model’s own for each seed" if pipeline.prompts else "No prompt"
    return f"“{short}”" if prompt else none


def _sampling(pipeline: Pipeline) -> str:
    height, width = pipeline.picture_size
    name = type(pipeline.scheduler).__name__
    return (
        f"{pipeline.name} · {height} × {width} · {name}, {pipeline.steps} steps, "
        f"guidance {pipeline.guidance:g}"
    )
