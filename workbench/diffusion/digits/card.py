"""The card beside the shipped weights."""

from pathlib import Path


def write_card(folder: Path) -> None:
    """Writes `card.md`."""
