"""The three tables that every result lives in, whatever made it.

`trials` has one row per method, settings and seed; `series` has curves (per step, per layer, per
timed round); `arrays` lists files by content hash. They are joined by `trial_id`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    import pandas as pd

SERIES = ["trial_id", "name", "axis", "x", "y"]
ARRAYS = ["trial_id", "name", "sha256", "file"]
REQUIRED = ["trial_id", "method", "seed"]


class TableError(ValueError):
    """A table lacks a column, or a column holds what it cannot hold."""


@dataclass(frozen=True)
class Column:
    """What a column means.

    Args:
        basis: whether its numbers were measured or come from a model; "" for labels.
        spread: names of the columns holding the low and high end of its spread.
        share: whether each value is a yes or a no, as `whole` or 0.
        relative: whether the value is a comparison with the baseline already.
    """

    unit: str = ""
    basis: Literal["measured", "modelled", ""] = ""
    better: Literal["higher", "lower", ""] = ""
    label: str = ""
    tolerance: float = 0.0
    spread: tuple[str, ...] = ()
    share: bool = False
    relative: bool = False

    @property
    def whole(self) -> float:
        """What a share counts as all: 100 in %, else 1."""
        return 100.0 if self.unit == "%" else 1.0


@dataclass(frozen=True)
class Tables:
    """Trials, series and arrays, with the meaning of each trials column."""

    trials: pd.DataFrame
    series: pd.DataFrame
    arrays: pd.DataFrame
    columns: Mapping[str, Column] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in REQUIRED:
            if name not in self.trials:
                found = ", ".join(map(str, self.trials.columns))
                raise TableError(f'Column "{name}" is missing. Found: {found}')
        repeated = self.trials["trial_id"][self.trials["trial_id"].duplicated()]
        if len(repeated):
            raise TableError(f"trial_id must be unique. Repeated: {repeated.iloc[0]!r}")

    @property
    def methods(self) -> list[str]:
        """Method names in order of first appearance; the baseline comes first."""
        return list(dict.fromkeys(self.trials["method"]))

    def rows(self, method: str) -> pd.DataFrame:
        """The trials of one method, ordered by seed."""
        return self.trials[self.trials["method"] == method].sort_values("seed")

    def curve(self, method: str, name: str) -> pd.DataFrame:
        """One named series of one method: columns seed, x, y."""
        ids = self.rows(method)[["trial_id", "seed"]]
        return ids.merge(self.series[self.series["name"] == name], on="trial_id")

    def join(self, other: Tables) -> Tables:
        """Both tables' trials; a trial that is in both keeps the newer row (the other's)."""
        import pandas as pd

        fresh = set(other.trials["trial_id"])

        def stacked(mine: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
            kept = mine[~mine["trial_id"].isin(fresh)]
            filled = [frame for frame in (kept, theirs) if len(frame)]
            return pd.concat(filled, ignore_index=True) if filled else theirs

        return Tables(
            stacked(self.trials, other.trials),
            stacked(self.series, other.series),
            stacked(self.arrays, other.arrays),
            {**self.columns, **other.columns},
        )

    def save(self, folder: str | Path) -> Path:
        """Write trials.csv, series.csv, arrays.csv and columns.json; returns the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("trials", "series", "arrays"):
            getattr(self, name).to_csv(folder / f"{name}.csv", index=False)
        meaning = {name: asdict(column) for name, column in self.columns.items()}
        (folder / "columns.json").write_text(
            json.dumps(meaning, indent=1, ensure_ascii=False), encoding="utf-8"
        )
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            TableError: naming the missing file.
        """
        import pandas as pd

        folder = Path(folder)
        for name in ("trials.csv", "columns.json"):
            if not (folder / name).is_file():
                raise TableError(f"{folder} holds no {name}; it is not a folder of tables")
        meaning = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
        columns = {
            name: Column(**{**value, "spread": tuple(value.get("spread", ()))})
            for name, value in meaning.items()
        }

        def frame(name: str, empty: list[str]) -> pd.DataFrame:
            file = folder / f"{name}.csv"
            return _read(file) if file.is_file() else pd.DataFrame(columns=empty)

        return cls(
            _read(folder / "trials.csv"),
            frame("series", SERIES),
            frame("arrays", ARRAYS),
            columns,
        )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        method: str | None = None,
        quality: Mapping[str, Column] | None = None,
        cost: Mapping[str, Column] | None = None,
        seed: str | None = None,
    ) -> Self:
        """Someone else's table as trials; every column not named becomes a knob.

        Args:
            method: the column that names the method; None calls all rows "runs".
            quality: columns that are quality, with their meaning, by the frame's names.
            cost: likewise for cost.
            seed: the column of seeds; None numbers the rows of each method.

        Raises:
            TableError: for a column that is not there or holds text where numbers belong.
        """
        import pandas as pd

        quality, cost = dict(quality or {}), dict(cost or {})
        frame = frame.reset_index(drop=True)
        twice = frame.columns[frame.columns.duplicated()]
        if len(twice):
            raise TableError(f'Column "{twice[0]}" is there twice. Rename one of them')
        named = [n for n in (method, seed, *quality, *cost) if n is not None]
        for name in named:
            if name not in frame:
                found = ", ".join(map(str, frame.columns))
                raise TableError(
                    f'Column "{name}" is missing. Found: {found}. Rename it or choose a column'
                )
        for name in (*quality, *cost):
            numbers = pd.to_numeric(frame[name], errors="coerce")
            wrong = frame.index[numbers.isna() & frame[name].notna()]
            if len(wrong):
                value = frame.loc[wrong[0], name]
                raise TableError(
                    f'Column "{name}" holds {value!r} in row {wrong[0]}; it must be a number'
                )
        for key in (method, seed):
            empty = [] if key is None else frame.index[frame[key].isna()]
            if len(empty):
                raise TableError(f'Column "{key}" is empty in row {empty[0]}')
        label = frame[method].astype(str) if method else pd.Series("runs", index=frame.index)
        numbered = frame[seed] if seed else label.groupby(label).cumcount()
        trials = pd.DataFrame({"method": label, "seed": numbered})
        # By content: rows of two tables stay apart when joined, and a table read twice is one.
        content = hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()[:12]
        trials.insert(0, "trial_id", [f"{content}-{i}" for i in range(len(frame))])
        columns: dict[str, Column] = {}
        for prefix, chosen in (("quality", quality), ("cost", cost)):
            for name, column in chosen.items():
                trials[f"{prefix}.{name}"] = pd.to_numeric(frame[name])
                columns[f"{prefix}.{name}"] = column
        for name in frame.columns:
            if name not in named:
                trials[f"knob.{name}"] = frame[name]
        return cls(trials, pd.DataFrame(columns=SERIES), pd.DataFrame(columns=ARRAYS), columns)

    @classmethod
    def from_csv(cls, path: str | Path, **meaning: Any) -> Self:
        """`from_frame` of a CSV file.

        Raises:
            TableError: for a file that is missing or is no table, and as `from_frame`.
        """
        import pandas as pd

        path = Path(path)
        try:
            frame = pd.read_csv(path)
        except FileNotFoundError:
            raise TableError(f"{path}: there is no such file") from None
        except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
            raise TableError(f"{path}: cannot be read as CSV: {error}") from None
        return cls.from_frame(frame, **meaning)


def _read(file: Path) -> pd.DataFrame:
    """A table as written; names stay text where they look like numbers or like nothing."""
    import pandas as pd

    names = ("trial_id", "method", "name")
    columns = pd.read_csv(file, nrows=0).columns
    return pd.read_csv(
        file,
        dtype={name: str for name in names if name in columns},
        keep_default_na=False,
        na_values={name: [""] for name in columns if name not in names},
    )
