"""Inception v3 (Szegedy et al. 2016) as data: its convolutions and pools, block by block.

Names are torchvision's, which the weight files use.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Form = Literal["fid", "torchvision"]


class Conv(NamedTuple):
    """Convolution without bias, batch norm, ReLU."""

    name: str
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"


class Fork(NamedTuple):
    """Two convolutions of one input, side by side."""

    first: Conv
    second: Conv


class Pool(NamedTuple):
    """A 3 × 3 pool: "halve" takes every second maximum, "smooth" keeps the size."""

    kind: Literal["halve", "smooth", "smooth by maximum"]


Branch = tuple[Conv | Fork | Pool, ...]
HALVE, SMOOTH = Pool("halve"), Pool("smooth")


def _square(name: str, width: int, size: int, **more: Any) -> Conv:
    return Conv(name, width, (size, size), **more)


def _half(name: str, width: int) -> Conv:
    return _square(name, width, 3, stride=2, padding="VALID")


STEM: Branch = (
    _half("Conv2d_1a_3x3", 32),
    _square("Conv2d_2a_3x3", 32, 3, padding="VALID"),
    _square("Conv2d_2b_3x3", 64, 3),
    HALVE,
    Conv("Conv2d_3b_1x1", 80),
    _square("Conv2d_4a_3x3", 192, 3, padding="VALID"),
    HALVE,
)


def _block_35(pooled: int) -> tuple[Branch, ...]:
    """35 × 35 pixels (figure 5): the 5 × 5 branch and two 3 × 3 in its place."""
    return (
        (Conv("branch1x1", 64),),
        (Conv("branch5x5_1", 48), _square("branch5x5_2", 64, 5)),
        (
            Conv("branch3x3dbl_1", 64),
            _square("branch3x3dbl_2", 96, 3),
            _square("branch3x3dbl_3", 96, 3),
        ),
        (SMOOTH, Conv("branch_pool", pooled)),
    )


def _block_17(inner: int) -> tuple[Branch, ...]:
    """17 × 17 pixels (figure 6): 7 × 7 as a row and a column."""
    row, column = (1, 7), (7, 1)
    return (
        (Conv("branch1x1", 192),),
        (
            Conv("branch7x7_1", inner),
            Conv("branch7x7_2", inner, row),
            Conv("branch7x7_3", 192, column),
        ),
        (
            Conv("branch7x7dbl_1", inner),
            Conv("branch7x7dbl_2", inner, column),
            Conv("branch7x7dbl_3", inner, row),
            Conv("branch7x7dbl_4", inner, column),
            Conv("branch7x7dbl_5", 192, row),
        ),
        (SMOOTH, Conv("branch_pool", 192)),
    )


def _block_8(pool: Pool) -> tuple[Branch, ...]:
    """8 × 8 pixels (figure 7): the last 3 × 3 as a row beside a column."""
    row, column = (1, 3), (3, 1)
    return (
        (Conv("branch1x1", 320),),
        (
            Conv("branch3x3_1", 384),
            Fork(Conv("branch3x3_2a", 384, row), Conv("branch3x3_2b", 384, column)),
        ),
        (
            Conv("branch3x3dbl_1", 448),
            _square("branch3x3dbl_2", 384, 3),
            Fork(Conv("branch3x3dbl_3a", 384, row), Conv("branch3x3dbl_3b", 384, column)),
        ),
        (pool, Conv("branch_pool", 192)),
    )


_TO_17: tuple[Branch, ...] = (
    (_half("branch3x3", 384),),
    (Conv("branch3x3dbl_1", 64), _square("branch3x3dbl_2", 96, 3), _half("branch3x3dbl_3", 96)),
    (HALVE,),
)
_TO_8: tuple[Branch, ...] = (
    (Conv("branch3x3_1", 192), _half("branch3x3_2", 320)),
    (
        Conv("branch7x7x3_1", 192),
        Conv("branch7x7x3_2", 192, (1, 7)),
        Conv("branch7x7x3_3", 192, (7, 1)),
        _half("branch7x7x3_4", 192),
    ),
    (HALVE,),
)


def blocks(form: Form) -> dict[str, tuple[Branch, ...]]:
    """The blocks by name, in order; the branches of a block are put side by side."""
    last = Pool("smooth by maximum") if form == "fid" else SMOOTH
    return {
        "Mixed_5b": _block_35(32),
        "Mixed_5c": _block_35(64),
        "Mixed_5d": _block_35(64),
        "Mixed_6a": _TO_17,
        "Mixed_6b": _block_17(128),
        "Mixed_6c": _block_17(160),
        "Mixed_6d": _block_17(160),
        "Mixed_6e": _block_17(192),
        "Mixed_7a": _TO_8,
        "Mixed_7b": _block_8(SMOOTH),
        "Mixed_7c": _block_8(last),
    }


def convolutions(form: Form) -> dict[str, tuple[Conv, int]]:
    """Every convolution with the channels it takes, in order."""
    found: dict[str, tuple[Conv, int]] = {}

    def walk(branch: Branch, place: str, width: int) -> int:
        for step in branch:
            convs = (step,) if isinstance(step, Conv) else step if isinstance(step, Fork) else ()
            found.update({place + conv.name: (conv, width) for conv in convs})
            width = sum(conv.width for conv in convs) or width
        return width

    width = walk(STEM, "", 3)
    for name, branches in blocks(form).items():
        width = sum(walk(branch, f"{name}.", width) for branch in branches)
    return found
