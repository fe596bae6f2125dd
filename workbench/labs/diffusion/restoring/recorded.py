"""What ships: pictures restored before, for the first look, and the study of three seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from workbench import shipped
from workbench.diffusion.super_resolution.verdict import Verdict, verdicts
from workbench.labs.diffusion.restoring.form import DEGRADATION, OWN, PICTURE, REBUILD
from workbench.labs.diffusion.restoring.restored import ARMS, FOLDER, FOUR, ORIGINAL, Restored
from workbench.labs.diffusion.restoring.source import Source
from workbench.panels.view import Values

SHOWN, ABOUT, INPUT = "shown", "shown.json", "input"
STUDY = "data/super-resolution-study"
RIVALS = ("8×, equal updates", "8×, equal multiply-adds")


@dataclass(frozen=True)
class Study:
    """The study that ships.

    Attributes:
        quality: a row for each arm, seed, task and kind of picture.
        latents: a row for each reading, seed and kind.
        card: command, device, date, costs.
    """

    quality: Sequence[Mapping[str, Any]]
    latents: Sequence[Mapping[str, Any]]
    card: Mapping[str, Any]

    def verdicts(self, rival: str) -> list[Verdict]:
        """4x against one of the rivals."""
        return verdicts(self.quality, FOUR, rival)

    def verdict(self, rival: str, task: str, kind: str, metric: str) -> Verdict | None:
        """One of them; None where it was not measured."""
        asked = (task, kind, metric)
        found = (v for v in self.verdicts(rival) if (v.task, v.kind, v.metric) == asked)
        return next(found, None)


@cache
def study() -> Study:
    """Of `python -m workbench.diffusion.super_resolution.study`."""
    import pandas as pd

    place = shipped.path(STUDY)
    quality, latents = (
        pd.read_csv(place / f"{name}.csv").to_dict("records") for name in ("quality", "latents")
    )
    card = json.loads((place / "card.json").read_text(encoding="utf-8"))
    return Study(quality, latents, card)


def key(values: Values) -> str | None:
    """Name of the recorded pictures of these settings; None for what is one's own."""
    picture: Any = values[PICTURE]
    made: Any = values[DEGRADATION]
    if picture.source == OWN or (picture.task != REBUILD and made.kind == OWN):
        return None
    which = f"{picture.source}-{picture.number}"
    return f"{which}-rebuilt" if picture.task == REBUILD else f"{which}-{made.kind}-{made.seed}"


@cache
def about() -> Mapping[str, Any]:
    """Device and date of the recorded pictures, and what is known of each."""
    text = (shipped.path(FOLDER) / ABOUT).read_text(encoding="utf-8")
    found: Mapping[str, Any] = json.loads(text)
    return found


def recorded(values: Values) -> Restored | None:
    """The recorded pictures of these settings, or None."""
    name = key(values)
    return _read(name) if name in about()["pictures"] else None


@cache
def _read(name: str) -> Restored:
    """From files alone, so that no data set is made for the first picture."""
    from PIL import Image

    from workbench.datasets import Glyphs

    known = about()["pictures"][name]

    def pixels(what: str) -> np.ndarray:
        with Image.open(shipped.path(f"{FOLDER}/{SHOWN}/{file_name(name, what)}")) as picture:
            return np.asarray(picture, np.float32) / 255

    boxes = np.array(known["boxes"], np.int32).reshape(-1, 4)
    glyphs = Glyphs(known["letters"], boxes) if known["letters"] else None
    sharp = pixels(ORIGINAL)
    rebuilt = name.endswith("-rebuilt")
    source = Source(known["name"], sharp if rebuilt else pixels(INPUT), sharp, glyphs)
    pictures = {arm: pixels(arm) for arm in (ARMS[1:] if rebuilt else ARMS)}
    return Restored(source, pictures, known["seconds"], known["macs"])


def write(found: Mapping[str, Restored], place: Path, device: str, date: str) -> None:
    """Pictures as PNG files, and what is to be known of them."""
    from PIL import Image

    (place / SHOWN).mkdir(parents=True, exist_ok=True)
    known = {}
    for name, one in found.items():
        for what, picture in named(one).items():
            pixels = np.rint(255 * picture).astype(np.uint8)
            Image.fromarray(pixels).save(place / SHOWN / file_name(name, what), optimize=True)
        letters = one.source.glyphs
        known[name] = {
            "name": one.source.name,
            "seconds": dict(one.seconds),
            "macs": dict(one.macs),
            "letters": "" if letters is None else letters.characters,
            "boxes": [] if letters is None else letters.boxes.ravel().tolist(),
        }
    facts = {"device": device, "date": date, "pictures": known}
    text = json.dumps(facts, ensure_ascii=False)
    (place / ABOUT).write_text(text + "\n", encoding="utf-8")


def named(found: Restored) -> dict[str, np.ndarray]:
    """Pictures by what they are: as given, the original where known, what each way made of it."""
    sharp = found.source.sharp
    original = {} if sharp is None else {ORIGINAL: sharp}
    given = {} if found.source.rebuilt else {INPUT: found.source.low}
    return {**given, **original, **found.pictures}


def file_name(name: str, arm: str) -> str:
    """Of a recorded picture."""
    return f"{name}-{arm.replace('×', 'x')}.png"
