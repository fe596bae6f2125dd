"""How many pictures are measured together, by the memory that is free."""

from __future__ import annotations

from workbench.measure.memory import available_bytes


def at_once(count: int, each: float) -> int:
    """All of them where half of the free memory holds them, else half as many, and so on.

    Args:
        count: pictures.
        each: bytes one of them needs at about its peak.
    """
    free = available_bytes()
    if free is None:
        return count
    while count > 1 and count % 2 == 0 and count * each > free / 2:
        count //= 2
    return count


def groups(seeds: tuple[int, ...], each: float) -> list[tuple[int, ...]]:
    """The seeds in groups of equal size that are measured together."""
    size = at_once(len(seeds), each)
    return [seeds[at : at + size] for at in range(0, len(seeds), size)]
