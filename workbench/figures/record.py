"""`figure.toml`: how a picture was made, so that it can be made again from its stored rows."""

from __future__ import annotations

import csv
import hashlib
import platform
import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from workbench.figures.chart import Chart, ChartError, Row, plain
from workbench.figures.palette import Theme

NAME = "figure.toml"
ROWS = "rows.csv"
PICTURES = ("figure.svg", "figure.png", "figure.pdf")
FORMAT = 1


def write(
    folder: Path,
    chart: Chart,
    tables: Sequence[str],
    settings: Mapping[str, Any],
    theme: Theme,
    width: int,
    records: Sequence[str] = (),
) -> Path:
    """Writes `figure.toml` for the pictures and rows that already lie in the folder."""
    import tomli_w

    content = {
        "format": FORMAT,
        "figure": {"form": chart.form, "title": chart.title, "theme": theme, "width": width},
        "arguments": _without_none(chart.arguments),
        "rows": {
            "file": ROWS,
            "sha256": fingerprint(folder / ROWS),
            "columns": _kinds(chart.source),
        },
        "tables": {
            name: {"file": f"{name}.csv", "sha256": fingerprint(folder / f"{name}.csv")}
            for name in tables
        },
        "records": {
            name: {"file": f"{name}.json", "sha256": fingerprint(folder / f"{name}.json")}
            for name in records
        },
        "pictures": {name: fingerprint(folder / name) for name in PICTURES},
        "settings": _without_none(settings),
        "versions": versions(),
    }
    path = folder / NAME
    path.write_text(tomli_w.dumps(content), encoding="utf-8")
    return path


def read(path: Path) -> dict[str, Any]:
    """Reads a record.

    Raises:
        ChartError: if the file is missing, is not TOML, or lacks a part.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ChartError(f"{path}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ChartError(f"{path.name} cannot be read: {error}") from None
    for part in ("format", "figure", "arguments", "rows", "pictures", "versions"):
        if part not in content:
            raise ChartError(f'{path.name}: part "{part}" is missing')
    if content["format"] != FORMAT:
        raise ChartError(f"{path.name}: format {content['format']} is not {FORMAT}")
    return content


def rows(folder: Path, content: Mapping[str, Any]) -> list[Row]:
    """Reads the rows of a record with the kinds they had.

    Raises:
        ChartError: if the file is missing or is not the one that was written.
    """
    part = content["rows"]
    check_file(folder, part["file"], part["sha256"])
    kinds = part.get("columns", {})
    with (folder / part["file"]).open(encoding="utf-8", newline="") as file:
        return [
            {name: _value(text, kinds.get(name, "text")) for name, text in line.items()}
            for line in csv.DictReader(file)
        ]


def check_file(folder: Path, name: str, sha256: str) -> None:
    """Compares a file with its recorded fingerprint.

    Raises:
        ChartError: if it is missing, outside the folder, or differs.
    """
    if Path(name).name != name:
        raise ChartError(f"{name}: a record names only files beside it")
    if not (folder / name).is_file():
        raise ChartError(f"{name} is missing beside {NAME}")
    if fingerprint(folder / name) != sha256:
        raise ChartError(f"{name} was changed after {NAME} was written")


def redraw(folder: Path, content: Mapping[str, Any]) -> Chart:
    """Draws the chart of a record from its stored rows.

    Raises:
        ChartError: if the form is unknown or its arguments do not fit it.
    """
    from workbench.figures.charts import FORMS

    form = content["figure"].get("form")
    if form not in FORMS:
        raise ChartError(f"chart form {form!r} is not one of {', '.join(sorted(FORMS))}")
    try:
        return FORMS[form](rows(folder, content), **content["arguments"])
    except TypeError as error:
        raise ChartError(f"arguments do not fit {form}: {error}") from None


def versions() -> dict[str, str]:
    """Returns the versions a picture depends on."""
    found = {"python": platform.python_version(), "vega-lite": "6.4"}
    for name in ("efficiency-workbench", "altair", "vl-convert-python"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            import workbench

            found[name] = str(getattr(workbench, "__version__", "unknown"))
    return found


def fingerprint(path: Path) -> str:
    """Returns the SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _kinds(source: Sequence[Row]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for name in dict.fromkeys(name for row in source for name in row):
        values = [row[name] for row in source if row.get(name) is not None]
        if values and all(isinstance(value, bool) for value in values):
            kinds[name] = "bool"
        elif values and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            kinds[name] = "number"
        else:
            kinds[name] = "text"
    return kinds


def _value(text: str, kind: str) -> Any:
    if text == "":
        return None
    if kind == "bool":
        return text == "true"
    if kind == "number":
        return int(text) if text.lstrip("-").isdigit() else float(text)
    return text


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        found = {str(key): _without_none(inner) for key, inner in value.items()}
        return {key: inner for key, inner in found.items() if inner is not None}
    if isinstance(value, list | tuple | set | frozenset):
        return [found for inner in value if (found := _without_none(inner)) is not None]
    return plain(value)
