"""Which code a benchmark measured, so that a figure can be seen to be older than the code.

A record lists the files of this project that its process had loaded, its own among them, and of
the ops those that any of these names, with their `tuned.json`; and one digest of all.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ("kernels_pallas", "workbench", "benchmarks")
WRITING = ("record.py", "sources.py", "rates.py")
"""How records are written: no figure depends on it."""


def measured(script: str) -> dict[str, Any]:
    """Files that this process has loaded, relative to the checkout, and their digest.

    Args:
        script: the benchmark's ``__file__``.
    """
    modules = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    found = {Path(file).resolve() for file in (script, *filter(None, modules))}
    found = {file for file in found if _counts(file)}
    names = sorted(file.relative_to(ROOT).as_posix() for file in _used(found))
    return {"files": names, "digest": digest(names)}


def _counts(file: Path) -> bool:
    ours = file.is_relative_to(ROOT) and file.relative_to(ROOT).parts[0] in MEASURED
    return ours and file.suffix == ".py" and file.name not in WRITING and file.exists()


def _used(files: set[Path]) -> set[Path]:
    """Without the ops that none of the others names: importing one op loads all."""
    ops = {
        folder: {file for file in files if folder in file.parents}
        for folder in (ROOT / "kernels_pallas").iterdir()
        if (folder / "__init__.py") in files
    }
    kernels = {file for file in files if (ROOT / "kernels_pallas") in file.parents}
    used, new = set(), files - kernels
    while new:
        used |= new
        text = "\n".join(file.read_text(encoding="utf-8") for file in new)
        new = set()
        for folder in [op for op in ops if _names(op).search(text)]:
            tuned = folder / "tuned.json"
            new |= ops.pop(folder) | ({tuned} if tuned.exists() else set())
    of_ops = any((ROOT / "kernels_pallas") in file.parents for file in used)
    return used | (kernels & set((ROOT / "kernels_pallas").glob("*.py")) if of_ops else set())


def _names(op: Path) -> re.Pattern[str]:
    """Any public name of an op, its folder's among them."""
    import kernels_pallas

    home = f"{kernels_pallas.__name__}.{op.name}"
    public = {
        name
        for name in kernels_pallas.__all__
        if f"{getattr(kernels_pallas, name).__module__}.".startswith(f"{home}.")
    }
    return re.compile(rf"\b(?:{'|'.join(sorted({op.name, *public}))})\b")


def changed(sources: dict[str, Any] | None) -> bool:
    """Whether code differs from what a record measured, or the record does not say what it was."""
    return not sources or digest(sources["files"]) != sources["digest"]


def digest(files: Iterable[str]) -> str:
    """Of the names and contents of files; one that is gone counts as empty."""
    found = hashlib.sha256()
    for name in files:
        file = ROOT / name
        content = file.read_bytes() if file.exists() else b""
        found.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return found.hexdigest()
