"""The paper behind a method: what it is called, where it is, what it claims."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A published source.

    Args:
        key: BibTeX key.
        claim: what the paper says it reaches, in our words, one sentence.
    """

    key: str
    title: str
    authors: str
    year: int
    arxiv: str
    claim: str = ""
    venue: str = ""

    @property
    def url(self) -> str:
        return f"https://arxiv.org/abs/{self.arxiv}"

    def bibtex(self) -> str:
        """One BibTeX entry, ready to paste."""
        fields = {
            "title": f"{{{self.title}}}",
            "author": self.authors,
            "year": str(self.year),
            "eprint": self.arxiv,
            "archivePrefix": "arXiv",
            "note": self.venue,
        }
        lines = [f"  {name:<13} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@article{{{self.key},", *lines, "}"])
