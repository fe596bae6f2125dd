"""Gate explorer: how far back each head of a model remembers, on a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.labs.language import claims, gates_shown, recorded
from workbench.labs.language.gate_memory import Gates, gates_of
from workbench.labs.language.gates_form import GATES, PRESETS, groups, looking, model_name
from workbench.labs.language.lab_view import LanguageView
from workbench.labs.language.shelf import Book, Shelf, books
from workbench.measure import device
from workbench.panels.charted import waiting
from workbench.panels.panel import Panel
from workbench.panels.picture import Basis, ChartContent, Content, EmptyContent, Picture
from workbench.panels.view import Problem, Slot, Values
from workbench.progress import Report

GATED = ("gla", "mlgru")
"""Mixers whose gates can be looked at."""

NO_MODEL = (
    "No trained model with gates ships with this installation. Open a checkpoint of your own: "
    'language.gates("my-gla"), a folder or a hub name of GLA or MatMul-free LM.'
)

Key = tuple[str, str]


def gates(
    *checkpoints: str | Path, settings: Mapping[str, Mapping[str, Any]] | str | None = None
) -> Panel:
    """The panel of forget gates; a checkpoint of one's own is looked at when it opens.

    Args:
        checkpoints: folders or hub names; the shipped models with gates where there are none.
        settings: what "Copy settings" gave.

    Raises:
        CheckpointError, ValueError: a folder whose configuration cannot be read, or no gates.
    """
    panel = Panel(GatesView(checkpoints), settings=settings)
    if checkpoints:
        panel.run()
    return panel


class GatesView(LanguageView):
    """Memory by head, channel and token of one model.

    Args:
        checkpoints: see `gates`.
    """

    title = "Gate explorer"
    opener = "gates"
    verb = "Look here"
    presets = PRESETS
    layout = (
        (Slot("heads", "chart", 1.2), Slot("channels", "chart", 1.0)),
        (Slot("tokens", "chart", 1.2), Slot("forgetful", "table", 1.0)),
        (Slot("bounds", "chart"),),
    )

    def __init__(self, checkpoints: Sequence[str | Path] = ()) -> None:
        self.given_checkpoints = [str(source) for source in checkpoints]
        self.shelf = Shelf([one for one in books(checkpoints) if _gated(one)])
        if checkpoints and not self.shelf.books:
            raise ValueError(f"None of these models has gates to look at, as {GATED} have")
        names = list(self.shelf.books)
        self.groups = groups(names)
        self.study_line = ", ".join(names) if names else "No model yet"
        self.found: dict[Key, Gates] = {}

    def arguments(self) -> list[str]:
        """The checkpoints, as code."""
        return [repr(source) for source in self.given_checkpoints]

    def check(self, values: Values) -> list[Problem]:
        """A layer the model does not have."""
        if not model_name(values):
            return []
        config = self.shelf.books[model_name(values)].config
        layer = looking(values).layer
        if config is None or layer <= config.num_hidden_layers:
            return []
        message = f"Layer must be at most {config.num_hidden_layers}. You gave {layer}"
        return [Problem("error", "layer", message, GATES)]

    def predict(self, values: Values) -> Picture | None:
        """Gates that were computed here or recorded for this model and text; else none yet."""
        name = model_name(values)
        if not name:
            return Picture({"heads": EmptyContent(gates_shown.HEADS, NO_MODEL), **_waiting()})
        here = self.found.get((name, looking(values).text))
        if here is not None:
            return self._picture(values, here, "measured", "computed here")
        known = None if self.given_checkpoints else recorded.gates(name, looking(values).text)
        if known is None:
            text = "Gates depend on the text: the model has to read it."
            return Picture({
                "heads": EmptyContent(gates_shown.HEADS, text, self.verb), **_waiting(),
            })  # fmt: skip
        picture = self._picture(values, known.gates, "recorded", f"recorded {known.date}")
        return Picture(
            picture.contents, claim=picture.claim, basis="recorded", when=known.date,
            device=known.device,
        )  # fmt: skip

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The model reads the text once."""
        name, knobs = model_name(values), looking(values)
        if not name:
            raise ValueError(NO_MODEL)
        report(0, 1, f"Reading {name}")
        model, tokenizer = self.shelf.model(name)
        found = gates_of(model, tokenizer.encode(knobs.text), tokenizer, report)
        self.found[name, knobs.text] = found
        yield self._picture(values, found, "measured", "computed here")

    def _picture(self, values: Values, found: Gates, basis: Basis, where: str) -> Picture:
        book = self.shelf.books[model_name(values)]
        layer = looking(values).layer - 1
        one = next((g for g in found.layers if g.layer == layer), found.layers[0])
        bound = gates_shown.bounds(book, found)
        contents: dict[str, Content] = {
            "heads": ChartContent.of(gates_shown.by_head(book, found, where)),
            "channels": ChartContent.of(gates_shown.by_channel(one)),
            "tokens": ChartContent.of(gates_shown.by_token(book, found, one)),
            "forgetful": gates_shown.forgetful(found, one),
            "bounds": EmptyContent(
                gates_shown.BOUNDS,
                "This model’s gates have no learned lower bounds; those of MatMul-free LM have.",
            )
            if bound is None
            else ChartContent.of(bound),
        }
        details = (f"{len(found.tokens)} tokens", f"{len(found.layers)} layers with gates")
        here = device.label() if basis == "measured" else ""
        card = claims.gates(recorded.study("gates"))
        return Picture(contents, claim=card, basis=basis, details=details, device=here)

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """Every channel's memory."""
        found = self.found.get((model_name(values), looking(values).text))
        return {} if found is None else {"channels": gates_shown.rows_of(found)}

    def load(self, key: str) -> Mapping[str, Mapping[str, Any]] | None:
        """A clicked head looks at its layer closely."""
        return {GATES: {"layer": int(key)}} if key.isdigit() else None


def _waiting() -> dict[str, Content]:
    """What stands where the charts of gates will."""
    return waiting(
        "Follows once a model has read the text.",
        channels="Do channels of a layer differ?",
        tokens="Where in the text does a layer forget?",
        forgetful="At which tokens?",
        bounds=gates_shown.BOUNDS,
    )


def _gated(book: Book) -> bool:
    """Whether a model has gates; one whose shape is not known yet may have."""
    if book.config is None:
        return True
    return any(
        mixer.kind in GATED and getattr(mixer, "gate", "") != "none" for mixer in book.config.mixers
    )
