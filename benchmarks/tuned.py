"""Measurements that a dispatcher picks by, written as data beside its op."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from record import command, machine

FIGURES = ("seconds", "transformed", "kernel_gradient")
"""What of a point is measured; the rest is its shape."""


def write(file: Path, script: str, points: list[dict[str, Any]]) -> None:
    """Puts measurements under this processor's class, in place of those at the same shapes.

    Shapes that were left out keep what they had, where the same processor and jaxlib measured it.

    Args:
        file: an op's `tuned.json`.
        script: what measured.
        points: shapes with their `seconds`, and what else was measured (`FIGURES`).
    """
    from kernels_pallas.processor import processor

    found = machine()
    about = {"processor": found["processor"], "jaxlib": found["packages"]["jaxlib"]}
    table = json.loads(file.read_text(encoding="utf-8"))
    before = table.get(processor(), {"measured": []})
    alike = about.items() <= before.items()
    fresh = [_shape(one) for one in points]
    kept = [one for one in before["measured"] if alike and _shape(one) not in fresh]
    table[processor()] = {"command": command(script), **about, "measured": [*kept, *points]}
    rows = []
    for name, entry in sorted(table.items()):
        head = {key: value for key, value in entry.items() if key != "measured"}
        lines = ",\n   ".join(json.dumps(one) for one in entry["measured"])
        rows.append(f' "{name}": {json.dumps(head)[:-1]}, "measured": [\n   {lines}\n ]}}')
    file.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def _shape(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name not in FIGURES}
