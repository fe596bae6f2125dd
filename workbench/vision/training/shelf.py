"""Trained networks in their folder: which there are, on what they were trained, and how well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import shipped
from workbench.checkpoints import CheckpointError

if TYPE_CHECKING:
    from workbench.vision.networks import ConvNet

FOLDER, FACTS = "data/vision-small", "training.json"
SHIPPED = {"patches": FOLDER, "digits": "data/vision-digits"}
"""Folders that ship, by what their networks are trained on."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained network.

    Attributes:
        name: of its table.
        folder: in timm's layout.
        facts: how it was trained and judged, as its card says.
        data: name of what it was trained on.
    """

    name: str
    folder: Path
    facts: Mapping[str, Any]
    data: str

    def load(self, dtype: Any = "float32") -> ConvNet:
        """The network.

        Raises:
            CheckpointError: missing, truncated or mislabelled.
        """
        from workbench.vision.loading import load

        return load(self.folder, dtype=dtype)


def checkpoints(folder: str | Path = "patches") -> tuple[Checkpoint, ...]:
    """The networks of a folder that `workbench.vision.train` wrote, or those that ship.

    Args:
        folder: its path; "patches" and "digits" are what the networks that ship are trained on.

    Raises:
        CheckpointError: a folder without a record, or with one that is no JSON of its form.
    """
    return _read(str(folder))


@cache
def _read(folder: str) -> tuple[Checkpoint, ...]:
    try:
        place = shipped.path(SHIPPED[folder]) if folder in SHIPPED else Path(folder)
        facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
        return tuple(
            Checkpoint(name, place / name, one, facts["data"]["name"])
            for name, one in facts["networks"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder}: no record of networks ({error})") from error
