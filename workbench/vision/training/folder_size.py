"""The size that pictures of one's own folder are trained at where none is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from workbench.datasets import smallest_picture
from workbench.vision.networks import NetworkConfig

LEAST = 32
"""Pixels; smaller pictures are refused, or enlarged where that is said."""


def folder_size(
    folder: str | Path, tables: Sequence[NetworkConfig], *, enlarge: bool = False
) -> tuple[int, str]:
    """The size the tables are made for, or the largest one that the pictures allow.

    Args:
        folder: of pictures.
        tables: networks that are trained on it, all at one size: that of the largest.
        enlarge: whether smaller pictures are enlarged, so that they set no limit.

    Returns:
        The side [pixels], a multiple of all that the tables need, and the reason in words.

    Raises:
        DatasetError: no folder, or none of its pictures is readable.
    """
    largest = max(tables, key=own_size)
    wanted = own_size(largest)
    file, side = smallest_picture(folder)
    if side >= wanted or enlarge:
        return wanted, f"the size that {largest.architecture} is made for"
    step = math.lcm(LEAST, *(table.multiple for table in tables))
    size = max(step, side // step * step)
    if size >= wanted:  # too small for any of the tables, which the dataset says
        return wanted, f"the size that {largest.architecture} is made for"
    return size, (
        f"{largest.architecture} is made for {wanted}, and the shortest side of "
        f"{file.relative_to(folder)} is {side}; --size and --enlarge change that"
    )


def own_size(table: NetworkConfig) -> int:
    """Side of the pictures a table is made for [pixels]."""
    return max(table.preprocessing.input_size[1:])


def too_small_for(size: int, tables: Sequence[NetworkConfig]) -> list[NetworkConfig]:
    """Tables made for pictures of more than twice the side, whose last maps become tiny."""
    return [table for table in tables if own_size(table) > 2 * size]
