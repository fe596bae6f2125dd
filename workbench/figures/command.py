"""`python -m workbench figure`: draws an exported figure again, and checks it is the same."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from workbench.figures import export, record
from workbench.figures.chart import Chart, ChartError

SAME, DIFFERENT, BROKEN, OTHER_VERSIONS = 0, 1, 2, 3


def figure(path: str | Path, check: bool = False, out: str | Path | None = None) -> int:
    """Draws the figure of a `figure.toml`, its folder, or its .zip, from the stored rows.

    Args:
        path: the record, the folder it lies in, or the exported .zip.
        check: compare the picture with the stored one instead of only drawing it.
        out: folder for the pictures; beside the record when neither it nor `check` is given.

    Returns:
        0 when drawn (and the same), 1 when different, 2 when the record cannot be used, 3
        when different but other versions drew it, so that nothing follows.
    """
    path = Path(path)
    try:
        if path.suffix == ".zip":
            with tempfile.TemporaryDirectory() as place:
                return _figure(_unpack(path, Path(place)), check, out or (None if check else "."))
        return _figure(path / record.NAME if path.is_dir() else path, check, out)
    except ChartError as error:
        print(str(error), file=sys.stderr)
        return BROKEN


def _figure(path: Path, check: bool, out: str | Path | None) -> int:
    content = record.read(path)
    chart = record.redraw(path.parent, content)
    shown: dict[str, Any] = {key: content["figure"][key] for key in ("theme", "width")}
    status = SAME
    if check:
        for what in ("tables", "records"):
            for name, part in content.get(what, {}).items():
                record.check_file(path.parent, part["file"], part["sha256"])
                print(f"{what.removesuffix('s').capitalize()} {name} is as written")
        status = _compare(path.parent, content, chart, shown)
    if out is not None or not check:
        folder = Path(out) if out is not None else path.parent
        folder.mkdir(parents=True, exist_ok=True)
        for name in record.PICTURES:
            print(f"Wrote {export.write(chart, folder / name, **shown)}")
    return status


def _compare(folder: Path, content: dict[str, Any], chart: Chart, shown: dict[str, Any]) -> int:
    name = record.PICTURES[0]
    record.check_file(folder, name, content["pictures"][name])
    stored = (folder / name).read_text(encoding="utf-8")
    if export.svg(chart, **shown) == stored:
        print(f"Same picture: {content['figure']['title']}")
        return SAME
    here = record.versions()
    changed = [
        f"{key} {value}, here {here.get(key, 'missing')}"
        for key, value in content["versions"].items()
        if here.get(key) != value
    ]
    if changed:
        print(f"The picture differs, drawn with other versions: {'; '.join(changed)}")
        return OTHER_VERSIONS
    print("The picture differs, though rows and versions are the same. Fonts may differ")
    return DIFFERENT


def _unpack(path: Path, place: Path) -> Path:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if Path(name).name and not name.endswith("/"):
                    (place / Path(name).name).write_bytes(archive.read(name))
    except (FileNotFoundError, zipfile.BadZipFile) as error:
        raise ChartError(f"{path.name} cannot be opened: {error}") from None
    return place / record.NAME
