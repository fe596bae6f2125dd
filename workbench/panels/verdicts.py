"""Is it worth it? A line a method: the verdict in a word, and the sentence with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.panels import picture
from workbench.panels.picture import Cell, Column, Mark, TableContent
from workbench.study.comparison import Verdict, Word

GLYPHS: dict[Word, picture.Verdict] = {
    "worth it": "reproduced",
    "trade-off": "part",
    "not worth it": "failed",
    "not decided": "open",
}


def verdicts(found: Sequence[tuple[Mark, Verdict]]) -> TableContent:
    """The verdict on each method, beside its mark."""
    rows: list[list[Cell | str]] = [
        [Cell(line.word.capitalize(), method=mark, verdict=GLYPHS[line.word]), line.sentence]
        for mark, line in found
    ]
    columns = (Column("Verdict"), Column("Reason", wrap=True))
    return TableContent(columns, rows, title="Is it worth it?")
