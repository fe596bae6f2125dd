"""What super-resolution shows: the split picture, spots of it enlarged, numbers, the study."""

from __future__ import annotations

import numpy as np

from workbench.diffusion.super_resolution.verdict import METRICS
from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, ranges
from workbench.labs.diffusion.pictures import png
from workbench.labs.diffusion.restoring.recorded import RIVALS, Study, named
from workbench.labs.diffusion.restoring.restored import (
    ARMS,
    BICUBIC,
    EIGHT,
    FOUR,
    ORIGINAL,
    Restored,
)
from workbench.measure import intervals
from workbench.panels.picture import (
    Cell,
    Column,
    ImageRow,
    ImagesContent,
    SplitContent,
    TableContent,
    Thumb,
)

SLOTS = {BICUBIC: 0, EIGHT: 1, FOUR: 2, ORIGINAL: None, RIVALS[0]: 6, RIVALS[1]: 1}
SPOTS, SPOT = 8, 24
"""Places that are enlarged, and pixels of a side of each."""
HEADS = {"psnr_y": "PSNR-Y", "ssim_y": "SSIM-Y", "edges": "Edges", "characters": "Letters"}


def split(found: Restored, spot: int | None = None) -> SplitContent:
    """What came in, 8x and 4x behind two lines, whole or at one spot."""
    first = ORIGINAL if found.source.rebuilt else BICUBIC
    arms = [first, *(arm for arm in ARMS if arm in found.pictures and arm != first)]
    pictures = [_pixels(_cut(_of(found, arm), found, spot)) for arm in arms]
    if len(pictures) == 1:
        pictures, arms = pictures * 2, [first, "being restored"]
    height, width = found.source.size
    low = f"{width} × {height} pixels"
    if not found.source.rebuilt:
        low = f"{width // 4} × {height // 4} to {low}"
    where = "" if spot is None else f", spot {spot + 1}"
    return SplitContent(
        title="What do finer latents keep?"
        if found.source.rebuilt
        else "What does each see in so few pixels?",
        subtitle=f"{found.source.name}{where} · {low} · drag the lines, enlarge with +",
        pictures=[png(one) for one in pictures],
        tags=arms,
        caption=[
            (arm, f"{numbers.number(quality['psnr_y'])} dB")
            for arm in arms
            if arm in found.pictures and (quality := found.quality(arm))
        ],
    )


def spots(found: Restored, chosen: int | None = None) -> ImagesContent:
    """A row an arm, a column a spot: letters of a page, the busiest places of a photograph."""
    arms = [arm for arm in ARMS if arm in found.pictures]
    if found.source.sharp is not None:
        arms.append(ORIGINAL)
    places = range(len(_places(found)))
    rows = [
        ImageRow(
            SLOTS[arm],
            arm,
            _note(found, arm),
            [
                Thumb(png(_pixels(_cut(_of(found, arm), found, at))), f"{arm}, spot {at + 1}",
                      f"{arm}|{at}")
                for at in places
            ],
        )
        for arm in arms
    ]  # fmt: skip
    what = "letters" if found.source.glyphs is not None else "where edges are densest"
    return ImagesContent(
        title="Which letters can still be read?"
        if found.source.glyphs is not None
        else "Which details are still there?",
        subtitle=f"{SPOT} × {SPOT} pixels each, {what} · choose one to see it in the viewer",
        columns=[str(at + 1) for at in places],
        rows=rows,
        chosen="" if chosen is None else f"{FOUR}|{chosen}",
    )


def measures(found: Restored) -> TableContent:
    """Of this picture: quality against the original, multiply-adds and seconds."""
    known = {arm: found.quality(arm) for arm in ARMS if arm in found.pictures}
    metrics = [name for name in METRICS if any(name in one for one in known.values())]
    best = {name: max(one[name] for one in known.values() if name in one) for name in metrics}
    rows: list[list[Cell | str]] = []
    for arm, quality in known.items():
        cells: list[Cell | str] = [Cell(arm, method=SLOTS[arm])]
        for name in metrics:
            value = quality.get(name, float("nan"))
            cells.append(Cell(numbers.number(value), strong=value == best[name]))
        counted = found.macs.get(arm)
        cells.append(
            "–"
            if counted is None
            else Cell(f"{numbers.number(counted / 1e9)} G", basis="predicted")
        )
        took = found.seconds.get(arm)
        cells.append("–" if took is None else numbers.seconds(took))
        rows.append(cells)
    heads = (
        Column("Way"),
        *(Column(HEADS[name], number=True) for name in metrics),
        Column("MACs", number=True),
        Column("Seconds", number=True),
    )
    note = "Against the original. " if metrics else "Taken as it is: there is no original. "
    return TableContent(
        heads, rows, "This picture in numbers", note + "One picture decides nothing: see the study."
    )


def judged(study: Study, metric: str) -> Chart:
    """One metric of the study: every arm, task and kind of picture, with intervals."""
    arms = (BICUBIC, *reversed(RIVALS), FOUR)
    rows = []
    for task, kind in dict.fromkeys((r["task"], r["kind"]) for r in study.quality):
        for arm in arms:
            values = [
                float(r[metric])
                for r in study.quality
                if (r["task"], r["kind"], r["arm"]) == (task, kind, arm) and r[metric] == r[metric]
            ]
            if not values:
                continue
            mean = intervals.mean(values)
            rows.append({
                "group": f"{kind}, {task}", "method": arm, "value": mean.value,
                **({"low": mean.low, "high": mean.high} if mean.known else {}),
                "label": f"{arm}, {kind}, {task}",
            })  # fmt: skip
    name, _, unit = METRICS[metric].partition(" [")
    seeds = len(study.card["seeds"])
    return ranges(
        rows,
        Axis("value", name, unit=unit.rstrip("]")),
        title="Is 4× better than 8×?",
        subtitle=f"Held-out pictures, {seeds} seeds, mean with 95 % interval · right is better",
        slots={arm: SLOTS[arm] or 0 for arm in arms},
    )


def verdict_table(study: Study) -> TableContent:
    """Every paired difference of 4x to both rivals, in words."""
    rows: list[list[Cell | str]] = []
    for rival in RIVALS:
        for one in study.verdicts(rival):
            apart = one.difference
            spread = f"{apart.low:+.3g} to {apart.high:+.3g}" if apart.known else ""
            rows.append([
                f"{one.kind}, {one.task}", HEADS[one.metric],
                Cell(rival.removeprefix("8×, equal "), method=SLOTS[rival]),
                numbers.number(one.ours.value), numbers.number(one.theirs.value),
                Cell(f"{apart.value:+.3g}".replace("-", "−"), note=spread.replace("-", "−"),
                     strong=bool(one.better)),
                Cell("4×" if one.better == FOUR else "8×" if one.better else "not told apart",
                     method=SLOTS[one.better] if one.better else None),
            ])  # fmt: skip
    heads = (
        Column("Pictures"), Column("Metric"), Column("8×, equal"), Column("4×", number=True),
        Column("8×", number=True), Column("4× less 8×", number=True), Column("Better"),
    )  # fmt: skip
    words = "Paired by seed, with 95 % intervals; the better one is named where they exclude zero."
    return TableContent(heads, rows, "Every verdict", words)


def costs(study: Study) -> TableContent:
    """Multiply-adds of a picture by part, small and at full size; seconds of the small one."""
    rows: list[list[Cell | str]] = []
    took = study.card["seconds_a_picture"]
    for name, one in study.card["macs_a_picture"].items():
        arm = name.split(",", 1)[0]
        parts = [one[part] for part in ("encoder", "unet", "decoder")]
        cells = [Cell(f"{numbers.number(part / 1e9)} G", basis="predicted") for part in parts]
        total = Cell(f"{numbers.number(sum(parts) / 1e9)} G", basis="predicted", strong=True)
        known = None if "full size" in name else took[FOUR if arm == FOUR else RIVALS[0]]
        seconds: Cell | str = "–"
        if known is not None:
            low, high = (numbers.seconds(known[end]) for end in ("low", "high"))
            seconds = Cell(numbers.seconds(known["seconds"]), note=f"{low} to {high}")
        rows.append([Cell(name, method=SLOTS[arm]), *cells, total, seconds])
    heads = (
        Column("Networks"), *(Column(name, number=True) for name in ("Encoder", "UNet", "Decoder")),
        Column("MACs", number=True), Column("Seconds", number=True),
    )  # fmt: skip
    words = (
        "MACs are counted, attention’s products too; seconds were measured by turns. Full size: "
        "TVT’s VAED4 and SD 2.1, the UNet’s outer level ours."
    )
    return TableContent(heads, rows, "What does a picture cost?", words)


def latents(study: Study) -> TableContent:
    """Whether 4x latents are still those of 8x: statistics and cross-decoding, means over seeds."""
    import pandas as pd

    rows: list[list[Cell | str]] = []
    for (reading, kind), of in pd.DataFrame(study.latents).groupby(["reading", "kind"]):
        mean = of.mean(numeric_only=True)
        rows.append([
            f"{kind}, {reading} enlarged", numbers.number(mean["correlation"]),
            numbers.number(mean["mean_shift"]), numbers.number(mean["spread_ratio"]),
            f"{numbers.number(mean['new_decoder_old_latents'])} dB",
            f"{numbers.number(mean['own'])} dB",
            f"{numbers.number(mean['old_decoder_new_latents'])} dB",
            f"{numbers.number(mean['old_decoder_own_latents'])} dB",
        ])  # fmt: skip
    heads = (
        Column("Pictures, stage 1"), Column("Correlation", number=True),
        Column("Shift", number=True, optional=True), Column("Spread", number=True, optional=True),
        Column("4× reads 8×", number=True), Column("4× its own", number=True),
        Column("8× reads 4×", number=True), Column("8× its own", number=True),
    )  # fmt: skip
    words = (
        "Latents of the same pictures on the same grid: correlation, shift of means and ratio of "
        "spreads; then PSNR-Y when one decoder reads the other’s latents."
    )
    return TableContent(heads, rows, "Are they still the old latents?", words)


def files(found: Restored) -> dict[str, np.ndarray]:
    """uint8 pictures by what they are."""
    return {name: _pixels(picture) for name, picture in named(found).items()}


def _of(found: Restored, arm: str) -> np.ndarray:
    if arm == ORIGINAL:
        assert found.source.sharp is not None, "asked for only where there is one"
        return found.source.sharp
    return found.pictures[arm]


def _note(found: Restored, arm: str) -> str:
    if arm == ORIGINAL:
        return "reference"
    quality = found.quality(arm)
    which = "characters" if "characters" in quality else "edges"
    return f"{HEADS[which].lower()} {numbers.number(quality[which])}" if quality else ""


def _cut(picture: np.ndarray, found: Restored, spot: int | None) -> np.ndarray:
    if spot is None:
        return picture
    top, left = _places(found)[spot]
    return picture[top : top + SPOT, left : left + SPOT]


def _places(found: Restored) -> list[tuple[int, int]]:
    """Corners of the spots: around letters at even distances, else where edges are densest."""
    height, width = found.source.size
    if found.source.glyphs is not None and len(found.source.glyphs.boxes):
        boxes = found.source.glyphs.boxes
        chosen = boxes[(np.arange(SPOTS) * len(boxes)) // SPOTS]
        centres = [((t + b) // 2, (left + right) // 2) for t, left, b, right in chosen]
    else:
        reference = found.source.sharp
        plane = (found.pictures[BICUBIC] if reference is None else reference).mean(axis=-1)
        centres = _busiest(np.hypot(*np.gradient(plane)))
    return [
        (
            int(np.clip(y - SPOT // 2, 0, height - SPOT)),
            int(np.clip(x - SPOT // 2, 0, width - SPOT)),
        )
        for y, x in centres
    ]


def _busiest(edges: np.ndarray) -> list[tuple[int, int]]:
    """Centres of the tiles with most edges, none twice."""
    rows, columns = (side // SPOT for side in edges.shape)
    tiles = edges[: rows * SPOT, : columns * SPOT].reshape(rows, SPOT, columns, SPOT)
    best = np.argsort(-tiles.mean(axis=(1, 3)), axis=None, kind="stable")[:SPOTS]
    return [
        ((int(at) // columns) * SPOT + SPOT // 2, (int(at) % columns) * SPOT + SPOT // 2)
        for at in best
    ]


def _pixels(picture: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
