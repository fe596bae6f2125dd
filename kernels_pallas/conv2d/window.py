"""Where a kernel is laid over a picture: strides and padding, and the sizes that follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax import lax

OP = "conv2d"
Pair = tuple[int, int]


class Window(NamedTuple):
    """Strides and padding, of rows and of columns.

    Args:
        strides: (rows, columns).
        padding: ((above, below), (left, right)); below zero, pixels are cut off.
    """

    strides: Pair
    padding: tuple[Pair, Pair]

    def outputs(self, pixels: Sequence[int], taps: Sequence[int]) -> Pair:
        """Height and width of the result.

        Args:
            pixels: height and width of the input.
            taps: height and width of the kernel.
        """
        rows, columns = (
            (size + sum(around) - tap) // stride + 1
            for size, around, tap, stride in zip(
                pixels, self.padding, taps, self.strides, strict=True
            )
        )
        return rows, columns

    def padded(self, x: jax.Array, more: Pair = (0, 0)) -> jax.Array:
        """x with its padding, and with `more` zero rows below and columns on the right."""
        (above, below), (left, right) = self.padding
        edges = [
            (0, 0, 0),
            (above, below + more[0], 0),
            (left, right + more[1], 0),
            (0, 0, 0),
        ]
        return lax.pad(x, lax.full((), 0, x.dtype), edges)

    def reversed(self, taps: Sequence[int]) -> Window:
        """The window of the gradient to x at stride 1, where the kernel lies turned around."""
        (above, below), (left, right) = self.padding
        rows, columns = (tap - 1 for tap in taps)
        return Window((1, 1), ((rows - above, rows - below), (columns - left, columns - right)))


def window(
    pixels: Sequence[int],
    taps: Sequence[int],
    strides: Any,
    padding: str | int | Sequence[Any],
    op: str = OP,
) -> Window:
    """Strides and padding as a user gives them, made explicit.

    Args:
        pixels: height and width of the input.
        taps: height and width of the kernel.
        strides: one number, or (rows, columns).
        padding: "SAME" for ceil(size / stride) outputs, with the odd pixel below and on the right;
            "VALID" for none; pixels on every side; or ((above, below), (left, right)).
        op: name for the error.

    Raises:
        ValueError: naming the argument.
    """
    steps = (strides, strides) if type(strides) is int else strides
    if not _numbers(steps, 2) or min(steps) < 1:
        raise ValueError(
            f"{op}: strides={strides!r}; needed a whole number from 1 on, or a pair of them"
        )
    sides: Any = padding
    if padding == "VALID":
        sides = ((0, 0), (0, 0))
    elif padding == "SAME":
        sides = tuple(map(_same, pixels, taps, steps))
    elif type(padding) is int:
        sides = ((padding, padding), (padding, padding))
    good = isinstance(sides, (tuple, list)) and len(sides) == 2
    if not good or not all(_numbers(pair, 2) and min(pair) >= 0 for pair in sides):
        raise ValueError(
            f"{op}: padding={padding!r}; needed 'SAME', 'VALID', a whole number of pixels"
            " from 0 on, or ((above, below), (left, right))"
        )
    found = Window((steps[0], steps[1]), (tuple(sides[0]), tuple(sides[1])))
    if min(found.outputs(pixels, taps)) < 1:
        raise ValueError(
            f"{op}: a kernel of {taps[0]} x {taps[1]} does not fit on {pixels[0]} x {pixels[1]}"
            f" pixels with padding={padding!r}"
        )
    return found


def _same(size: int, tap: int, stride: int) -> Pair:
    missing = max((-(-size // stride) - 1) * stride + tap - size, 0)
    return missing // 2, missing - missing // 2


def _numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, (tuple, list))
        and len(value) == count
        and all(type(one) is int for one in value)
    )
