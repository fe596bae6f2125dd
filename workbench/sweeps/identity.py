"""What makes a point of a sweep the run it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.runs import Identity


def identity_of(settings: Mapping[str, Any], version: str) -> Identity:
    """The identity of a point: its settings, its seed, and the function.

    Args:
        settings: of plain values; `seed`, where there is one, is the run's seed.
        version: fingerprint of the function; its source, with what it names.

    Raises:
        TypeError: a seed that is no integer.
    """
    seed = settings.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise TypeError(f"seed is {seed!r}; give an integer")
    config = {name: value for name, value in settings.items() if name != "seed"}
    return Identity(config=config, version=version, seed=seed)
