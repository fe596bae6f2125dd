"""How a family of language models is written: fields of `config.json`, names of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from workbench.checkpoints import CheckpointError
from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder
from workbench.model_files import fields as file_fields
from workbench.model_files.keys import Shape
from workbench.model_files.part import Part

SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")
"""Ids of a tokenizer's own tokens, which a model's file carries along."""
# Training, provenance, and what a caller is handed back: nothing of what is computed here.
IDLE = (
    *SPECIAL,
    "architectures",
    "auto_map",
    "chunk_size_feed_forward",
    "dtype",
    "fuse_cross_entropy",
    "fuse_linear_cross_entropy",
    "fuse_norm",
    "fuse_swiglu",
    "id2label",
    "label2id",
    "model_type",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "use_l2warp",
)


def _as_it_is(tensors: Mapping[str, Any], config: DecoderConfig) -> Mapping[str, Any]:
    return tensors


@dataclass(frozen=True)
class Layout:
    """One family of models as files.

    Args:
        model_type: what its `config.json` calls it.
        read: the configuration of a file's fields.
        write: the fields of a configuration; None for one the family cannot hold.
        names: (ours, the file's) pieces of keys that differ, the longest first.
        old_names: the file's key under its present name; None for a tensor that is not a weight.
        opened: the tensors as the family's files hold them now, of files that hold them otherwise.
    """

    model_type: str
    read: Callable[[Mapping[str, Any]], DecoderConfig]
    write: Callable[[DecoderConfig], dict[str, Any] | None]
    names: tuple[tuple[str, str], ...] = ()
    old_names: Callable[[str], str | None] = str
    opened: Callable[[Mapping[str, Any], DecoderConfig], Mapping[str, Any]] = _as_it_is

    @property
    def part(self) -> Part:
        """Reads and writes the files."""
        return Part(Decoder, self, rename=self.ours, written=self.theirs)

    def from_file_fields(self, fields: Mapping[str, Any]) -> DecoderConfig:
        """As `read`."""
        return self.read(fields)

    def to_file_fields(self, config: DecoderConfig) -> dict[str, Any]:
        """As `write`.

        Raises:
            ValueError: a model the family cannot hold.
        """
        fields = self.write(config)
        if fields is None:
            kinds = ", ".join(sorted({mixer.kind for mixer in config.mixers}))
            raise ValueError(f"model_type={self.model_type!r} cannot hold this model of {kinds}")
        return {"model_type": self.model_type, **fields}

    def ours(self, name: str) -> str | None:
        """The model's key for a file's."""
        present = self.old_names(name)
        if present is None:
            return None
        for ours, theirs in self.names:
            present = present.replace(theirs, ours)
        return present

    def theirs(self, name: str) -> str:
        """The file's key for the model's."""
        for ours, theirs in self.names:
            name = name.replace(ours, theirs)
        return name


class Split(Mapping[str, np.ndarray]):
    """Tensors of which some stand for several, one after another along their first axis.

    Args:
        tensors: as a file holds them.
        pieces: what equal parts of a tensor are called, by its name.

    Raises:
        CheckpointError: a first axis that has no such parts.
    """

    def __init__(self, tensors: Mapping[str, Any], pieces: Mapping[str, tuple[str, ...]]):
        self._tensors = tensors
        self._places: dict[str, tuple[str, int, int]] = {}
        self.shapes: dict[str, Shape] = {}
        for name, shape in shapes_of(tensors).items():
            parts = pieces.get(name, (name,))
            if len(parts) > 1 and shape[0] % len(parts):
                raise CheckpointError(f"{name} {shape} is not {len(parts)} tensors in one")
            for place, part in enumerate(parts):
                self._places[part] = (name, place, len(parts))
                self.shapes[part] = (shape[0] // len(parts), *shape[1:]) if shape else shape

    def __getitem__(self, name: str) -> np.ndarray:
        whole, place, parts = self._places[name]
        tensor = np.asarray(self._tensors[whole])
        return tensor if parts == 1 else np.split(tensor, parts)[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def shapes_of(tensors: Mapping[str, Any]) -> dict[str, Shape]:
    """Shapes by name, without reading tensors that are still in their file."""
    known: dict[str, Shape] | None = getattr(tensors, "shapes", None)
    return known or {name: tuple(np.shape(tensors[name])) for name in tensors}


def accepted(
    kind: str,
    fields: Mapping[str, Any],
    known: Mapping[str, Any],
    fixed: Mapping[str, tuple[Any, ...]],
    idle: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Fields of a file with what the family means by those left out.

    A field nobody here knows passes where it switches something off (None or False): later
    versions of a family add such fields to every file they write.

    Args:
        kind: the family, for messages.
        fields: what the file holds.
        known: default by name, of the fields that are read.
        fixed: fields that are supported in some values only.
        idle: fields that change nothing of what is computed, beside those of every family.

    Raises:
        ValueError: a field that is unknown, or a value that is not supported.
    """
    off = [
        name
        for name, value in fields.items()
        if name not in known and name not in fixed and (value is None or value is False)
    ]
    kept = file_fields.accepted(kind, fields, known, fixed, (*IDLE, *idle, *off))
    return {**known, **kept}


def configuration(kind: str, fields: Mapping[str, Any]) -> DecoderConfig:
    """A configuration of these fields.

    Raises:
        ValueError: names the first field that is wrong, its value and what would be right.
    """
    try:
        return DecoderConfig.model_validate(dict(fields))
    except ValidationError as error:
        problem = error.errors()[0]
        if not problem["loc"]:
            raise ValueError(f"{kind} config: {_reason(problem)}") from error
        name = ".".join(str(step) for step in problem["loc"])
        reason = f"{kind} config field {name}={problem['input']!r}: {_reason(problem)}"
        raise ValueError(reason) from error


def _reason(problem: Any) -> str:
    """What is wrong, as the check itself said it where it is one of ours."""
    return str(problem.get("ctx", {}).get("error", problem["msg"]))
