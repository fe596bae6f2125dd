"""Decode: a model writes, its text appears as it is made, with its rate and its memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.labs.language import decode_shown, recorded
from workbench.labs.language.decode_form import PRESETS, chosen, groups, writing
from workbench.labs.language.decode_run import Written
from workbench.labs.language.decode_run import decode as write
from workbench.labs.language.lab_view import LanguageView
from workbench.labs.language.shelf import Book, Shelf, books
from workbench.measure import device
from workbench.panels.charted import EXPORTS, waiting
from workbench.panels.panel import Panel
from workbench.panels.picture import Basis, ChartContent, Content, EmptyContent, Picture
from workbench.panels.view import Export, Slot, Values
from workbench.progress import Report

EVERY = 0.12
"""Seconds between two pictures of a text that grows."""

NO_MODEL = (
    "No trained model ships with this installation. Open a checkpoint of your own: "
    'language.decode("my-model"), a folder or a hub name in the form of GLA, MatMul-free LM or '
    "LLaMA."
)


def decode(
    *checkpoints: str | Path, settings: Mapping[str, Mapping[str, Any]] | str | None = None
) -> Panel:
    """The panel in which models write.

    Args:
        checkpoints: folders or hub names of one's own; the shipped models where there are none.
        settings: what "Copy settings" gave.

    Raises:
        CheckpointError, ValueError: a folder whose configuration cannot be read.
    """
    return Panel(DecodeView(checkpoints), settings=settings)


class DecodeView(LanguageView):
    """One or two models that go on from a prompt.

    Args:
        checkpoints: see `decode`.
    """

    title = "Decode"
    opener = "decode"
    verb = "Write"
    presets = PRESETS
    layout = (
        (Slot("texts", "written"),),
        (Slot("figures", "figures", folds=False),),
        (Slot("rates", "chart", 1.0), Slot("memory", "chart", 1.0)),
        (Slot("meter", "shares"),),
    )
    exports = (*EXPORTS, Export("txt", "Texts", ".txt", behind=True))

    def __init__(self, checkpoints: Sequence[str | Path] = ()) -> None:
        self.given_checkpoints = [str(source) for source in checkpoints]
        self.shelf = Shelf(books(checkpoints))
        names = list(self.shelf.books)
        self.groups = groups(names)
        self.study_line = ", ".join(names) if names else "No model yet"

    def arguments(self) -> list[str]:
        """The checkpoints, as code."""
        return [repr(source) for source in self.given_checkpoints]

    def predict(self, values: Values) -> Picture:
        """The recorded text of these settings where there is one; memory by formula always."""
        if not chosen(values):
            return Picture({
                "texts": EmptyContent(decode_shown.TEXTS, NO_MODEL),
                **waiting(
                    "Needs a model.", figures=decode_shown.FIGURES, rates=decode_shown.RATES,
                    memory=decode_shown.MEMORY, meter=decode_shown.METER,
                ),
            })  # fmt: skip
        known = None if self.given_checkpoints else recorded.text(writing(values), chosen(values))
        if known is not None:
            found = [Written(**one) for one in known.written]
            picture = self._picture(values, found, "recorded", f"recorded {known.date}")
            return Picture(
                picture.contents, basis="recorded", when=known.date, device=known.device
            )  # fmt: skip
        return self._picture(values, [], "predicted", "")

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The models in turns; a picture about eight times a second, and one at the end."""
        if not chosen(values):
            raise ValueError(NO_MODEL)
        found: list[Written] = []
        shown = 0.0
        knobs = writing(values)
        for found in write(self.shelf, chosen(values), knobs, report):
            if time.monotonic() - shown > EVERY:
                shown = time.monotonic()
                yield self._picture(values, found, "measured", "being written", growing=True)
        yield self._picture(values, found, "measured", "written here")

    def _picture(
        self,
        values: Values,
        found: list[Written],
        basis: Basis,
        where: str,
        growing: bool = False,
    ) -> Picture:
        knobs, those = writing(values), self._books(values)
        contents: dict[str, Content] = {
            "texts": decode_shown.texts(those, found, knobs, growing, where),
            "figures": decode_shown.figures(those, found, basis),
        }
        if found and any(one.rates() for one in found):
            contents["rates"] = ChartContent.of(decode_shown.rates(those, found, basis))
        elif not growing:
            contents["rates"] = EmptyContent(
                decode_shown.RATES, "Rates are measured while a model writes.",
                self.verb,
            )  # fmt: skip
        if not growing:  # these do not change while a text grows
            contents["memory"] = ChartContent.of(decode_shown.memory(those, found))
        contents["meter"] = decode_shown.meter(those, found, knobs)
        here = device.label() if basis == "measured" else ""
        return Picture(contents, basis=basis, details=("batch 1",), device=here)

    def _books(self, values: Values) -> list[Book]:
        return [self.shelf.books[name] for name in chosen(values)]

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """The texts alone, or a chart as everywhere."""
        if kind != "txt":
            return super().export(kind, values, picture)
        content = picture.contents["texts"]
        written = getattr(content, "texts", ())
        if not any(one.text for one in written):
            raise ValueError("There is no text yet; press Write first")
        parts = [f"{one.label}\n\n{one.prompt}{one.text}\n" for one in written]
        return "decode.txt", "\n\n".join(parts).encode("utf-8")
