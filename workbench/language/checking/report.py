"""What the checks of a mixer found, as a table."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["pass", "fail", "measured", "not judged"]


@dataclass(frozen=True)
class Check:
    """One property of a mixer.

    Attributes:
        name: the property.
        status: "measured" has nothing to fail; "not judged" waits for another check to pass.
        figure: the number it was judged by.
        words: what was found; where it fails, what is wrong.
    """

    name: str
    status: Status
    figure: str = ""
    words: str = ""


@dataclass(frozen=True)
class Report:
    """All checks of one mixer.

    Attributes:
        mixer: its name.
        width: of the layer that was checked.
        checks: in the order they ran.
        times: length of a text and seconds for one call [(T, s)]; empty where not timed.
        seconds: that the checks took.
    """

    mixer: str
    width: int
    checks: tuple[Check, ...]
    times: tuple[tuple[int, float], ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether no check fails."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that fail."""
        return tuple(check.name for check in self.checks if check.status == "fail")

    def __getitem__(self, name: str) -> Check:
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(f"{name!r}; there are {', '.join(check.name for check in self.checks)}")

    @property
    def sentence(self) -> str:
        """The outcome in one sentence."""
        if self.passed:
            return f"{self.mixer} at width {self.width}: every check passes."
        return f"{self.mixer} at width {self.width}: fails {', '.join(self.failed)}."

    def table(self) -> pd.DataFrame:
        """A row for each check."""
        import pandas as pd

        return pd.DataFrame(self._rows(), columns=["check", "status", "figure", "words"])

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [(one.name, one.status, one.figure, one.words) for one in self.checks]

    def __str__(self) -> str:
        wide = max(len(one.name) for one in self.checks)
        rows = [
            f"  {one.status:<10}  {one.name:<{wide}}  {'; '.join(filter(None, _told(one)))}"
            for one in self.checks
        ]
        return "\n".join([self.sentence, *rows])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th scope='col'>{name}</th>" for name in ("check", "", "figure", "found"))
        rows = "".join(
            f"<tr><th scope='row' style='text-align:left'>{html.escape(name)}</th>"
            + "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in self._rows()
        )
        return (
            f"<p>{html.escape(self.sentence)}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )


def _told(check: Check) -> tuple[str, str]:
    return check.figure, check.words
