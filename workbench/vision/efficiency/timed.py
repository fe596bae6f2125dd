"""Rows of measured latencies, as tables hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Self

Part = Literal["network", "block", "layer"]


class Row:
    """Cells of a table in the order of its columns; seconds to four digits."""

    COLUMNS: ClassVar[tuple[str, ...]]

    def cells(self) -> list[Any]:
        """Its values as a file holds them."""
        values: dict[str, Any] = asdict(self)  # type: ignore[call-overload]
        return [f"{v:.4g}" if isinstance(v, float) else v for v in values.values()]

    @classmethod
    def of(cls, row: Mapping[str, str]) -> Self:
        """A row of a file."""
        kinds = {field.name: field.type for field in fields(cls)}  # type: ignore[arg-type]
        read = {"int": int, "float": float}
        return cls(**{name: read.get(str(kinds[name]), str)(row[name]) for name in kinds})


@dataclass(frozen=True)
class Timed(Row):
    """A network, or a block or layer of it that ran alone, on one device.

    Args:
        network: its name.
        batch: pictures.
        pixels: of their sides.
        part: what was timed.
        name: of the block or layer; the network's own otherwise.
        median, low, high: seconds of the batch, over the repeats.
        repeats: how many.
    """

    network: str
    batch: int
    pixels: int
    part: str
    name: str
    median: float
    low: float
    high: float
    repeats: int


@dataclass(frozen=True)
class GroupTimed(Row):
    """One convolution of 3 x 3 taps at one group size.

    Args:
        pixels, channels: of its input and its output.
        batch: pictures.
        group_size: input channels of a group: 1 is depthwise, all of them dense.
        median, low, high: seconds of the batch, over the repeats.
        repeats: how many.
    """

    pixels: int
    channels: int
    batch: int
    group_size: int
    median: float
    low: float
    high: float
    repeats: int

    @property
    def operations(self) -> int:
        """FLOP of the batch."""
        return 2 * self.batch * self.pixels**2 * self.channels * self.group_size * 9


Timed.COLUMNS = tuple(field.name for field in fields(Timed))
GroupTimed.COLUMNS = tuple(field.name for field in fields(GroupTimed))
