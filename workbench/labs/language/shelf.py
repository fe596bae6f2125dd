"""The models a panel opens: those that ship, and checkpoints of one's own, each read once."""

from __future__ import annotations

import functools
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import shipped
from workbench.labs.language import models

if TYPE_CHECKING:
    from workbench.language.config import DecoderConfig
    from workbench.language.decoder import Decoder

FOLDER = "data/language-lab"
CONFIG = "config.json"


@dataclass(frozen=True)
class Book:
    """A checkpoint that can be opened.

    Attributes:
        name: on the screen.
        source: its folder, or a hub name.
        config: its shape; None for a hub name, until it is read.
    """

    name: str
    source: str
    config: DecoderConfig | None

    @property
    def slot(self) -> int:
        """Colour and mark: those of its family."""
        return models.slot(family(self.config))

    def weight_bytes(self) -> float | None:
        """Bytes of its weights in float32, from its shape alone."""
        if self.config is None:
            return None
        return 4.0 * _parameters(json.dumps(self.config.record()))

    def state_bytes(self, length: int) -> float | None:
        """Bytes of one text's state after `length` tokens, by formula."""
        config = self.config
        if config is None:
            return None
        layers = range(config.num_hidden_layers)
        return float(
            sum(config.mixer(layer).state_bytes(config.hidden_size, length) for layer in layers)
        )


@functools.cache
def _parameters(record: str) -> int:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.config import DecoderConfig
    from workbench.language.decoder import Decoder
    from workbench.model_files.abstract import abstract

    config = DecoderConfig.model_validate(json.loads(record))
    model = abstract(Decoder, config, dtype=jnp.float32)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def family(config: DecoderConfig | None) -> str:
    """The name whose colour a model has: of its first mixer; ternary models have their own."""
    if config is None:
        return ""
    if config.linears == "ternary":
        return "MatMul-free"
    return models.NAMES.get(config.mixer(0).kind, "Yours")


def shipped_books() -> list[Book]:
    """Checkpoints that come with the package, the Transformer's first; empty where none does."""
    try:
        place = shipped.path(FOLDER)
    except FileNotFoundError:
        return []
    found = [book(folder) for folder in sorted(f.parent for f in place.rglob(CONFIG))]
    return sorted(found, key=lambda one: one.slot)


def books(checkpoints: Sequence[str | Path]) -> list[Book]:
    """The checkpoints given, else those that ship.

    Raises:
        CheckpointError, ValueError: a folder whose configuration cannot be read.
    """
    if not checkpoints:
        return shipped_books()
    found = [book(source) for source in checkpoints]
    names = [one.name for one in found]
    return [one if names.count(one.name) == 1 else replace(one, name=one.source) for one in found]


def book(source: str | Path) -> Book:
    """One checkpoint, its configuration read where it is a folder."""
    folder = Path(source)
    if not folder.is_dir():
        return Book(str(source), str(source), None)
    from workbench.language.loading import layout_of
    from workbench.model_files.part import read_fields

    fields = read_fields(folder)
    config = layout_of(fields.get("model_type")).read(fields)
    return Book(folder.name, str(folder), config)


class Shelf:
    """Models by their name, read when first asked for and kept.

    Args:
        found: what can be opened.
    """

    def __init__(self, found: Sequence[Book]):
        self.books: Mapping[str, Book] = {one.name: one for one in found}
        self._open: dict[str, tuple[Decoder, Any]] = {}

    def model(self, name: str, text: bool = True) -> tuple[Decoder, Any]:
        """A model and its tokenizer.

        Args:
            text: whether the tokenizer is needed.

        Raises:
            CheckpointError: what is missing or broken.
            ValueError: a model without a tokenizer: there is no text to show.
        """
        if name not in self._open:
            from workbench.language.loading import load

            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "(?s).*no tokenizer.json", UserWarning)
                model, tokenizer = load(self.books[name].source)
            if tokenizer is None and text:
                raise ValueError(
                    f"{name} has no tokenizer.json, so text cannot be given to it; "
                    "put its tokenizer.json into its folder"
                )
            self._open[name] = model, tokenizer
        return self._open[name]
