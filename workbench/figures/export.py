"""Charts as files: SVG, PNG, PDF, a web page that works offline, CSV, and all with its data."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.figures.chart import WIDTH, Chart, ChartError, records
from workbench.figures.palette import Theme

VEGA_LITE = "6.4"


def svg(chart: Chart, theme: Theme = "light", width: int = WIDTH) -> str:
    """Returns the picture as SVG text, title included, on paper."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(chart.drawn(theme, width), vl_version=VEGA_LITE))


def png(chart: Chart, theme: Theme = "light", width: int = WIDTH, ppi: float = 200) -> bytes:
    """Returns the picture as PNG bytes at `ppi` pixels per inch (96 is screen size)."""
    import vl_convert

    drawn = chart.drawn(theme, width)
    return bytes(vl_convert.vegalite_to_png(drawn, vl_version=VEGA_LITE, scale=ppi / 96))


def pdf(chart: Chart, theme: Theme = "light", width: int = WIDTH) -> bytes:
    """Returns the picture as a PDF page of vectors."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_pdf(chart.drawn(theme, width), vl_version=VEGA_LITE))


def html(chart: Chart, theme: Theme = "light", width: int = WIDTH) -> str:
    """Returns a web page that holds chart, data and library (1 MB) and loads nothing."""
    import vl_convert

    page = vl_convert.vegalite_to_html(
        chart.drawn(theme, width), vl_version=VEGA_LITE, bundle=True, renderer="svg"
    )
    return str(page)


def csv_text(rows: Any) -> str:
    """Returns rows, of a data frame or mappings, as CSV; floats are written exactly."""
    found = records(rows, (), "csv")
    columns = list(dict.fromkeys(name for row in found for name in row))
    if not columns and hasattr(rows, "columns"):
        columns = [str(name) for name in rows.columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in found:
        writer.writerow([_cell(row.get(name)) for name in columns])
    return text.getvalue()


def write(chart: Chart, path: str | Path, theme: Theme = "light", width: int = WIDTH) -> Path:
    """Writes a picture, page or table, by the file's ending.

    Raises:
        ChartError: if the ending is none of .svg .png .pdf .html .csv.
    """
    path = Path(path)
    if path.suffix == ".png":
        path.write_bytes(png(chart, theme, width))
    elif path.suffix == ".pdf":
        path.write_bytes(pdf(chart, theme, width))
    elif path.suffix == ".svg":
        path.write_text(svg(chart, theme, width), encoding="utf-8")
    elif path.suffix == ".html":
        path.write_text(html(chart, theme, width), encoding="utf-8")
    elif path.suffix == ".csv":
        path.write_text(csv_text(chart.source), encoding="utf-8")
    else:
        raise ChartError(f"{path.name}: the ending must be .svg, .png, .pdf, .html or .csv")
    return path


def export_figure(
    chart: Chart,
    tables: Any = None,
    settings: Mapping[str, Any] | None = None,
    destination: str | Path = "figure.zip",
    *,
    records: Mapping[str, Any] | None = None,
    theme: Theme = "light",
    width: int = WIDTH,
) -> Path:
    """Writes Figure and data: pictures, rows, the tables behind them, and `figure.toml`.

    `python -m workbench figure figure.toml --check` draws the same picture from the rows.

    Args:
        chart: what to export.
        tables: study tables (`trials`, `series`, `arrays`), or name to rows.
        settings: knobs of every method shown, and what else made the numbers.
        destination: a folder, or a file that ends in .zip.
        records: what a field keeps of how it came to its numbers, name to JSON values, such as a
            fit; each becomes a .json file.
        theme: of the pictures; light unless asked.
        width: of the pictures, px.
    """
    from workbench.figures import record

    destination = Path(destination)
    named, kept = _tables(tables), _named(dict(records or {}), "record")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in record.PICTURES:
            write(chart, folder / name, theme, width)
        (folder / record.ROWS).write_text(csv_text(chart.source), encoding="utf-8")
        for name, rows in named.items():
            (folder / f"{name}.csv").write_text(csv_text(rows), encoding="utf-8")
        for name, content in kept.items():
            text = json.dumps(content, indent=1, allow_nan=False)
            (folder / f"{name}.json").write_text(text, encoding="utf-8")
        made = dict(settings or {})
        record.write(folder, chart, sorted(named), made, theme, width, records=sorted(kept))
        files = sorted(folder.iterdir())
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.suffix == ".zip":
            _zip(files, destination)
        else:
            destination.mkdir(exist_ok=True)
            for file in files:
                shutil.copyfile(file, destination / file.name)
    return destination


def _zip(files: Sequence[Path], destination: Path) -> None:
    with zipfile.ZipFile(destination, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f"{destination.stem}/{file.name}")


def _tables(tables: Any) -> dict[str, Any]:
    if tables is None:
        return {}
    if isinstance(tables, Mapping):
        named = {str(name): rows for name, rows in tables.items()}
    else:
        named = {name: getattr(tables, name) for name in ("trials", "series", "arrays")}
    return _named(named, "table")


def _named(named: dict[str, Any], what: str) -> dict[str, Any]:
    for name in named:
        if not name.replace("_", "").replace("-", "").isalnum() or name == "rows":
            raise ChartError(f"a {what}'s name must be letters, digits, - or _, not {name!r}")
    return named


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else str(value)
