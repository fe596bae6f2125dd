"""The working copy of the shipped notebooks, so that git stays clean and nobody's work is lost.

Also `make clean-notebooks`: ``python -m workbench.launch.notebooks`` removes outputs in place.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from workbench import shipped

RECORD = ".shipped.json"


@dataclass(frozen=True)
class Refreshed:
    """What `refresh` did: names relative to the work folder."""

    copied: list[str] = field(default_factory=list)
    kept_aside: dict[str, str] = field(default_factory=dict)


def content_digest(file: Path) -> str:
    """A digest of what a person writes in `file`: for a notebook its cells, not their outputs."""
    raw = file.read_bytes()
    if file.suffix == ".ipynb":
        try:
            cells = json.loads(raw)["cells"]
            written = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
            raw = json.dumps(written).encode()
        except (ValueError, KeyError, TypeError):
            pass  # not a notebook any more: every byte counts
    return hashlib.sha256(raw).hexdigest()


def _aside(file: Path) -> Path:
    number = 1
    while True:
        candidate = file.with_name(f"{file.stem}.yours-{number}{file.suffix}")
        if not candidate.exists():
            return candidate
        number += 1


def _shipped_files(source: Path) -> list[Path]:
    return sorted(
        file.relative_to(source)
        for file in source.rglob("*")
        if file.is_file() and not any(part.startswith((".", "__")) for part in file.parts)
    )


def refresh(folder: Path, source: Path | None = None) -> Refreshed:
    """Bring the shipped notebooks into `folder`; a file its owner has changed is never overwritten.

    A changed file stays as it is while the shipped one is the same as when it was copied. When the
    shipped one is new, the owner's is moved to ``<name>.yours-<n>.ipynb`` and the new one takes its
    place, so that links between notebooks keep leading to the new ones.

    Args:
        folder: the work folder; created when absent.
        source: what to copy; the shipped ``notebooks`` by default.
    """
    source = source or shipped.path("notebooks")
    folder.mkdir(parents=True, exist_ok=True)
    record_file = folder / RECORD
    try:
        record: dict[str, str] = json.loads(record_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = {}
    done = Refreshed()
    for relative in _shipped_files(source):
        name, target = relative.as_posix(), folder / relative
        new = content_digest(source / relative)
        present = content_digest(target) if target.exists() else None
        if present == new or (present is not None and record.get(name) == new):
            record[name] = new
            continue
        if present is not None and present != record.get(name):
            aside = _aside(target)
            target.rename(aside)
            done.kept_aside[name] = aside.relative_to(folder).as_posix()
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(source / relative, part)
        part.replace(target)
        record[name] = new
        done.copied.append(name)
    part = record_file.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1), encoding="utf-8")
    part.replace(record_file)
    return done


def without_outputs(text: str) -> str:
    """The notebook `text` with no outputs, execution counts or widget state."""
    notebook = json.loads(text)
    notebook.get("metadata", {}).pop("widgets", None)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = []
            cell["execution_count"] = None
        cell.get("metadata", {}).pop("execution", None)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def clean(source: Path) -> list[Path]:
    """Strip the outputs of every notebook under `source`; returns those that changed."""
    changed = []
    for file in sorted(source.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in file.parts:
            continue
        text = file.read_text(encoding="utf-8")
        stripped = without_outputs(text)
        if stripped != text:
            file.write_text(stripped, encoding="utf-8")
            changed.append(file)
    return changed


if __name__ == "__main__":
    for cleaned in clean(shipped.path("notebooks")):
        print(f"cleaned {cleaned.name}")
