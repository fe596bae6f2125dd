"""What is drawn: the form every conditioning gives, and class tokens, a learned table.

Class tokens stand where a text encoder stands elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from workbench.checkpoints import (
    CheckpointError,
    match,
    read_tensors,
    replace_text,
    require_finite,
    write_tensors,
)

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Conditioned(NamedTuple):
    """What is asked for, a row per picture; the fields are those of `pipeline.Inputs`."""

    context: Float[Array, "B T D"]
    blank: Float[Array, "B T D"]
    labels: Int[np.ndarray, " B"]
    added: Any = None
    blank_added: Any = None


class Conditioning(Protocol):
    """Classes or texts as what attention reads."""

    @property
    def length(self) -> int:
        """Tokens of each class or text."""

    @property
    def width(self) -> int:
        """Width of a token: the UNet's `cross_attention_dim`."""

    def for_seeds(
        self, seeds: tuple[int, ...], labels: tuple[int, ...] | None = None
    ) -> Conditioned:
        """What each seed's picture shows; without labels, classes take turns by seed."""


def in_turn(
    seeds: tuple[int, ...], labels: tuple[int, ...] | None, classes: int
) -> Int[np.ndarray, " B"]:
    """The class of each seed's picture; without labels, classes take turns by seed.

    Raises:
        ValueError: a label that is no class.
    """
    turns = [seed % classes for seed in seeds] if labels is None else labels
    return require_classes(np.array(turns, dtype=np.int32), classes)


def require_classes(labels: Int[np.ndarray, " B"], classes: int) -> Int[np.ndarray, " B"]:
    """The labels, all of them classes.

    Raises:
        ValueError: a label that is no class.
    """
    bad = labels[(labels < 0) | (labels >= classes)]
    if bad.size:
        raise ValueError(f"labels: {int(bad[0])} is not a class; these are 0 to {classes - 1}")
    return labels


@dataclass(frozen=True, eq=False)
class ClassTokens:
    """The context of each class, a few tokens wide; the last row means "no class".

    Guidance moves away from that last row, so training shows it in place of the class now and then
    (Ho & Salimans 2022, section 3.2).
    """

    table: Float[Array, "K T D"]

    @property
    def classes(self) -> int:
        """How many classes there are, "no class" not counted."""
        return int(self.table.shape[0]) - 1

    @property
    def length(self) -> int:
        """Tokens of each class."""
        return int(self.table.shape[1])

    @property
    def width(self) -> int:
        """Width of a token: the UNet's `cross_attention_dim`."""
        return int(self.table.shape[2])

    @property
    def blank(self) -> Float[Array, "T D"]:
        """The tokens of "no class"."""
        return self.table[-1]

    def __call__(self, labels: Int[np.ndarray, " B"]) -> Float[Array, "B T D"]:
        """The tokens of each label.

        Raises:
            ValueError: a label that is no class.
        """
        return self.table[jnp.asarray(require_classes(labels, self.classes))]

    def for_seeds(
        self, seeds: tuple[int, ...], labels: tuple[int, ...] | None = None
    ) -> Conditioned:
        """The tokens for each seed; without labels, classes take turns by seed.

        Raises:
            ValueError: a label that is no class.
        """
        chosen = in_turn(seeds, labels, self.classes)
        blank = jnp.broadcast_to(self.blank, (len(seeds), *self.blank.shape))
        return Conditioned(self(chosen), blank, chosen)

    @classmethod
    def create(cls, classes: int, length: int, width: int, key: Array) -> ClassTokens:
        """A fresh table of standard normal entries, the scale attention expects."""
        return cls(jax.random.normal(key, (classes + 1, length, width), jnp.float32))

    @classmethod
    def load(cls, folder: str | Path) -> ClassTokens:
        """Read a table.

        Raises:
            CheckpointError: missing, truncated, not finite, or not of its config's shape.
        """
        folder = Path(folder)
        try:
            fields = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            shape = (fields["classes"] + 1, fields["tokens"], fields["width"])
        except OSError as error:
            raise CheckpointError(
                f"{folder / CONFIG}: cannot be read: {error.strerror or error}"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{folder / CONFIG}: needs the numbers classes, tokens and width ({error!r})"
            ) from error
        tensors = read_tensors(folder / WEIGHTS, dtype=np.float32)
        try:
            match(tensors, {"table": shape})
            require_finite(tensors)
        except CheckpointError as error:
            raise CheckpointError(f"{folder}: {error}") from error
        return cls(jnp.asarray(tensors["table"]))

    def save(self, folder: str | Path) -> Path:
        """Write the table and its sizes; returns the weights file."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        fields = {
            "_class_name": "ClassTokens",
            "classes": self.classes,
            "tokens": self.length,
            "width": self.width,
            "blank": "the last row",
        }
        replace_text(folder / CONFIG, json.dumps(fields, indent=2) + "\n")
        return write_tensors(folder / WEIGHTS, {"table": np.asarray(self.table)})
