"""What a dataset is, in words: shown beside it, and kept in the record of every run."""

import html
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Card:
    """The label on the tin.

    Attributes:
        title: one line.
        source: where the originals come from, with the version that was read.
        licence: of the originals.
        done: what was done to them, enlargement and rendering named as such.
        split: the rule that parts train from test.
        sizes: counts, in words.
        unique_bytes: bytes of distinct content, repeats counted once.
        notes: what a reader must know before trusting a number on this data.
    """

    title: str
    source: str
    licence: str
    done: str
    split: str
    sizes: str
    unique_bytes: int
    notes: str = ""

    def rows(self) -> list[tuple[str, str]]:
        """Label and text, in the order shown; empty ones left out."""
        words = {key: str(value) for key, value in asdict(self).items()}
        words["unique_bytes"] = f"{self.unique_bytes:,}"
        return [(key.replace("_", " "), text) for key, text in words.items() if text]

    def __str__(self) -> str:
        return "\n".join(f"{label:>13}  {text}" for label, text in self.rows())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row' style='text-align:right;vertical-align:top'>{label}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for label, text in self.rows()
        )
        return f"<table>{rows}</table>"
