"""A cache of results: arrays and numbers, found again by what they are the result of."""

from __future__ import annotations

import hashlib
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.runs.disk import read_json, remove_leftovers, room_for, write, write_json

if TYPE_CHECKING:
    import numpy as np


class Results:
    """Results in a folder, safe for any number of processes at once.

    Every array is one `.npy` file named by the SHA-256 of its content, so equal arrays are kept
    once and a damaged one is noticed; a key's record names its arrays and is written last.

    Args:
        folder: where the cache is; made when first written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def remember(self, key: str, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
        """Keeps arrays and a record of plain values under `key`; the last one wins.

        Raises:
            TypeError: an array holds Python objects.
            StoreFull: no room; what was kept before stands.
        """
        named = {name: self._put(name, array) for name, array in arrays.items()}
        place = self._record(key)
        self._make(place.parent)
        content = {"key": key, "arrays": named, "record": record, "date": time.time()}
        write_json(place, content)

    def recall(self, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Arrays and record kept under `key`; None where there are none, or any part is damaged."""
        content = read_json(self._record(key))
        if content is None or content.get("key") != key:
            return None
        arrays = {}
        for name, entry in content["arrays"].items():
            array = self._get(entry)
            if array is None:
                return None
            arrays[name] = array
        return arrays, content["record"]

    def path(self, sha256: str) -> Path:
        """File of the array with this hash."""
        return self.folder / "arrays" / sha256[:2] / f"{sha256}.npy"

    def _record(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / "keys" / name[:2] / f"{name}.json"

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            with room_for(folder):
                folder.mkdir(parents=True, exist_ok=True)
        # An hour old, for a younger one may be another process at work.
        remove_leftovers(folder, older_than=3600)

    def _put(self, name: str, value: Any) -> dict[str, str]:
        import numpy as np

        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"arrays[{name!r}]: holds Python objects; give numbers")
        kind = array.dtype.name
        if array.dtype.kind == "V":  # bfloat16 and its like, which .npy does not know
            array = array.view(f"u{array.dtype.itemsize}")
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        content = buffer.getvalue()
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path(sha256)
        # Of equal name and length is of equal content, unless damaged, which recall repairs.
        if not path.is_file() or path.stat().st_size != len(content):
            self._make(path.parent)
            write(path, content)
        return {"sha256": sha256, "dtype": kind}

    def _get(self, entry: dict[str, str]) -> np.ndarray | None:
        import numpy as np

        path = self.path(entry["sha256"])
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            path.unlink(missing_ok=True)
            return None
        array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
        return array if array.dtype.name == entry["dtype"] else array.view(_dtype(entry["dtype"]))


def _dtype(name: str) -> Any:
    import ml_dtypes
    import numpy as np

    return np.dtype(getattr(ml_dtypes, name))
