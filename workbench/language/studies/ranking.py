"""An order of families, shown only where intervals part them, and the paper's beside it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench.measure import intervals
from workbench.measure.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Ranking:
    """Families within one size, or one number of pairs.

    Attributes:
        within: of what they are compared within.
        value: the column.
        better: which way.
        means: of each family over seeds, best mean first.
        differences: first less second, paired by seed, for each two families.
        margin: a smaller difference is none, however sure it is.
    """

    within: str
    value: str
    better: Literal["lower", "higher"]
    means: Mapping[str, Interval]
    differences: Mapping[tuple[str, str], Interval]
    margin: float = 0.0

    def before(self, first: str, second: str) -> bool | None:
        """Whether one family is better than another; None where seeds or margin do not tell."""
        apart = self.differences[first, second]
        if abs(apart.value) < self.margin:
            return None
        if apart.above(0.0) or apart.below(0.0):
            return bool(apart.above(0.0) == (self.better == "higher"))
        return None

    def rank(self, name: str) -> int:
        """One more than the families shown to be better."""
        return 1 + sum(self.before(other, name) is True for other in self.means if other != name)

    @property
    def sentence(self) -> str:
        """The order in words.

        "Before" stands between two groups only where each family of all before it is better than
        each after it; within a group, joined by "and", those pairs that are parted are listed.
        """
        groups = self._groups()
        told = [" and ".join(self._told(name) for name in group) for group in groups]
        apart = [
            f"{first} is before {second}"
            for group in groups
            for first, second in itertools.permutations(group, 2)
            if self.before(first, second)
        ]
        tail = ""
        if apart:
            tail = f"; of those joined by “and”, seeds tell only that {', '.join(apart)}"
        elif len(groups) < len(self.means):
            tail = "; between those joined by “and”, seeds do not tell which is better"
        return f"{self.within}: {' before '.join(told)}{tail}."

    def _groups(self) -> list[list[str]]:
        """Best first, cut where all on the left are better than all on the right."""
        names = list(self.means)
        cuts = [
            place
            for place in range(1, len(names))
            if all(self.before(*two) for two in itertools.product(names[:place], names[place:]))
        ]
        return [names[start:end] for start, end in itertools.pairwise([0, *cuts, len(names)])]

    def _told(self, name: str) -> str:
        found = self.means[name]
        half = f" ± {(found.high - found.low) / 2:.2g}" if found.known else ""
        return f"{name} ({found.value:.4g}{half})"

    def beside(self, paper: Sequence[str]) -> list[str]:
        """For each two neighbours in a published order, whether it is so here.

        Args:
            paper: names from best to worst.
        """
        known = [name for name in paper if name in self.means]
        lines = []
        for first, second in itertools.pairwise(known):
            here = {True: "so here, too", False: "here it is the other way round"}.get(
                self.before(first, second),  # type: ignore[arg-type]
                "not told apart here",
            )
            apart = self.differences[first, second]
            spread = f" ({apart.low:+.3g} to {apart.high:+.3g})" if apart.known else ""
            lines.append(f"{first} before {second}: {here}, {apart.value:+.3g}{spread}")
        return lines

    def table(self) -> pd.DataFrame:
        """A row a family: rank, mean, interval, seeds."""
        import pandas as pd

        rows = [
            (self.within, self.rank(name), name, one.value, one.low, one.high, one.count)
            for name, one in self.means.items()
        ]
        columns = ["within", "rank", "name", self.value, "low", "high", "seeds"]
        return pd.DataFrame(rows, columns=columns)


def ranking(
    table: pd.DataFrame | Sequence[Mapping[str, Any]],
    value: str,
    *,
    better: Literal["lower", "higher"],
    within: str = "size",
    margin: float = 0.0,
) -> list[Ranking]:
    """An order for each value of a column; two families differ where their paired interval does.

    Args:
        table: rows with `name`, `seed`, the value and the column `within`.
        value: what is compared.
        better: which way.
        within: families are compared where it is equal.
        margin: a smaller difference of means is none: three seeds at chance may well agree.

    Raises:
        ValueError: a column there is not, or a seed that comes twice.
    """
    import pandas as pd

    rows = pd.DataFrame(table)
    for column in ("name", "seed", value, within):
        if column not in rows:
            raise ValueError(f"ranking: no column {column!r}; there are {', '.join(rows.columns)}")
    twice = rows.duplicated(["name", "seed", within])
    if twice.any():
        one = rows[twice].iloc[0]
        raise ValueError(
            f"ranking: {one['name']}, {within} {one[within]}, seed {one['seed']} twice"
        )
    return [
        _ranked(f"{within} {group}", value, _by_seed(part, value), better, margin)
        for group, part in rows.groupby(within, sort=False)
    ]


def without(
    rows: Sequence[Mapping[str, Any]], diverged: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Rows of the families and sizes of which no run diverged: the seeds left over flatter."""
    gone = {(one["kind"], one["size"]) for one in diverged}
    return [row for row in rows if (row.get("kind"), row.get("size")) not in gone]


def _by_seed(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    return rows.pivot(index="seed", columns="name", values=value)


def _ranked(
    within: str, value: str, values: Any, better: Literal["lower", "higher"], margin: float
) -> Ranking:
    means = {str(name): intervals.mean(values[name].to_numpy()) for name in values.columns}
    sign = 1.0 if better == "lower" else -1.0
    ordered = dict(sorted(means.items(), key=lambda item: sign * item[1].value))
    differences = {
        (first, second): intervals.mean((values[first] - values[second]).to_numpy())
        for first in means
        for second in means
        if first != second
    }
    return Ranking(within, value, better, ordered, differences, margin)
