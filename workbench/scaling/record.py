"""A fit as a JSON file: the law, its settings, the runs by value, parameters and draws."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.atomic import replace_file
from workbench.scaling.laws import law_named
from workbench.scaling.laws.law import Law
from workbench.scaling.result import Fit
from workbench.scaling.settings import Settings

FORMAT = 1
KIND = "scaling-law fit"


def write(fit: Fit, file: Path, about: Mapping[str, Any] | None = None) -> None:
    """Writes a fit; an old file is replaced in one step. `about` as of `as_json`."""
    text = json.dumps(as_json(fit, about), indent=1, allow_nan=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, [text.encode()])


def read(file: Path) -> Fit:
    """Reads a fit.

    Raises:
        ValueError: what is wrong with the file, by name.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as fault:
        raise ValueError(f"{file.name} is not JSON: {fault}") from None
    return from_json(content, file.name)


def about(
    table: str, methods: Sequence[str], left_out: Sequence[str], flops: str, sizes: str
) -> dict[str, Any]:
    """Where a fit's rows come from; for the reader, a fit does not depend on it.

    Args:
        table: its name and origin, or the file.
        methods: whose runs are fitted; none where the table names none.
        left_out: rows that are not, in words.
        flops: how training compute is counted.
        sizes: what N counts.
    """
    return {
        "table": table,
        "methods": list(methods),
        "left_out": list(left_out),
        "flops": flops,
        "n_counts": sizes,
    }


def as_json(fit: Fit, about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The content of a record.

    Args:
        about: of `about`, where it is known.
    """
    used = read_by(fit.law, fit.runs)
    return {
        "kind": KIND,
        "format": FORMAT,
        **({"about": dict(about)} if about else {}),
        "law": law_as_json(fit.law),
        "settings": {**asdict(fit.settings), "estimator": fit.estimator},
        "params": dict(fit.params),
        "fitted": dict(fit.fitted),
        "objective": fit.objective,
        "intervals": {name: [one.low, one.high] for name, one in fit.intervals.items()},
        "dropped": list(fit.dropped),
        "runs": {
            "sha256": fingerprint(used),
            "index": [str(label) for label in used.index],
            "columns": {name: used[name].tolist() for name in used.columns},
        },
        "draws": None if fit.draws is None else fit.draws.tolist(),
        "given": dict(fit.given),
        "versions": _versions(),
    }


def from_json(content: Any, name: str = "the record") -> Fit:
    """The fit of a record's content; what it is about is for the reader, and not kept.

    Raises:
        ValueError: what is wrong with it.
    """
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise ValueError(f"{name} is no record of a scaling-law fit")
    if content.get("format") != FORMAT:
        raise ValueError(
            f"{name} has format {content.get('format')!r}; this version reads {FORMAT}"
        )
    try:
        runs = pd.DataFrame(content["runs"]["columns"], index=content["runs"]["index"])
        law, draws = law_from_json(content["law"]), content["draws"]
        told_settings = dict(content["settings"])
        estimator = told_settings.pop("estimator", "residuals")
        settings = Settings(**told_settings)
        fitted = {key: float(content["fitted"][key]) for key in law.names}
        objective, dropped = float(content["objective"]), tuple(content["dropped"])
        told = content["runs"]["sha256"]
        given = {key: float(value) for key, value in content.get("given", {}).items()}
    except (KeyError, TypeError) as fault:
        raise ValueError(f"{name} is incomplete: {fault}") from None
    if told != fingerprint(runs):
        raise ValueError(f"{name}: its runs are not those that were fitted (their hash differs)")
    many = None if draws is None else np.asarray(draws, float).reshape(-1, len(law.names))
    return Fit(
        law, settings, fitted, objective, runs,
        dropped=dropped, draws=many, given=given, estimator=estimator,
    )  # fmt: skip


def law_as_json(law: Law) -> dict[str, Any]:
    """Its key and settings."""
    settings = {one.name: getattr(law, one.name) for one in fields(law)}
    return {
        "key": law.key,
        "settings": {
            name: law_as_json(value) if isinstance(value, Law) else value
            for name, value in settings.items()
        },
    }


def law_from_json(content: Any) -> Law:
    """The law of `law_as_json`.

    Raises:
        ValueError: a law that is not known, or settings that it does not have.
    """
    kind = law_named(content["key"])
    known = {one.name for one in fields(kind)}
    unknown = set(content["settings"]) - known
    if unknown:
        raise ValueError(f"law {content['key']} has no setting {', '.join(sorted(unknown))}")
    settings = {
        name: law_from_json(value) if isinstance(value, dict) else _tuples(value)
        for name, value in content["settings"].items()
    }
    law: Law = kind(**settings)
    return law


def fingerprint(runs: pd.DataFrame) -> str:
    """SHA-256 of a table's columns and values."""
    content = {str(name): runs[name].tolist() for name in sorted(runs.columns, key=str)}
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()


def read_by(law: Law, runs: pd.DataFrame) -> pd.DataFrame:
    """The columns of some rows that a law's fit depends on."""
    more = ("weight", "cluster", "method", "seed")
    wanted = dict.fromkeys((*law.columns, law.target, *more))
    return runs[[name for name in wanted if name in runs.columns]]


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    import workbench

    names = ("jax", "numpy", "pandas")
    return {"workbench": workbench.__version__} | {name: version(name) for name in names}
