"""How pictures are cut for Hopper's warpgroups, and what fits in shared memory beside the weights.

A tile is 64 pixels of the result, the rows of one product of the tensor core: 8 x 8 of them, or
4 x 16, or 2 x 32. A multiple of 8 columns makes the tile's rows whole pieces of the layout that the
tensor core reads, so that a tap further down is a piece further on. A tap to the right is a copy of
its own, the picture read from one column further on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jax import lax

from kernels_pallas.conv2d.window import Window

PIXELS = 64
"""Of a tile."""
WIDE = 32
"""Channels at a time: groups share them, with zeros between."""
WARPGROUPS = 2
"""That compute; one more fetches for both."""
STAGES = 2
"""Slices of the weights on their way at once."""
MEMORY = 225 << 10
"""Bytes of shared memory for tiles and weights; a program has 227 KiB, barriers included."""
CHANNELS = 256
"""Most channels that a program's sums have room for in registers, times tiles."""

SHAPES = ((8, 8), (4, 16), (2, 32))


class Tiles(NamedTuple):
    """How the work is cut.

    Args:
        taps: rows and columns of the kernel.
        batch: pictures.
        size: height and width of the result.
        channels, hidden, outputs: C, E and K.
        rows, columns: of a tile.
        each: tiles that a warpgroup takes at once.
        slice: hidden channels at a time.
    """

    taps: tuple[int, int]
    batch: int
    size: tuple[int, int]
    channels: int
    hidden: int
    outputs: int
    rows: int
    columns: int
    each: int
    slice: int

    @classmethod
    def fitting(
        cls, x_shape: Sequence[int], kernel_shape: Sequence[int], matrix: Sequence[int],
        window: Window,
    ) -> Tiles | None:  # fmt: skip
        """As many tiles and hidden channels at once as there is room for; None where none fits.

        Args:
            x_shape: [B, H, W, C].
            kernel_shape: [R, S, G, C].
            matrix: [E, K], the second product's.
            window: strides and padding.
        """
        taps = (kernel_shape[0], kernel_shape[1])
        batch, *pixels, channels = x_shape
        size = window.outputs(pixels, taps)
        whole = cls(taps, batch, size, channels, matrix[0], matrix[1], *SHAPES[0], 1, WIDE)
        cuts = [whole._replace(rows=rows, columns=columns) for rows, columns in SHAPES]
        # Fewest pixels beyond the edges first, then fewest read twice.
        best = min(cuts, key=lambda cut: (cut.across * cut.down, cut.read * cut.columns))
        for each, at_once in ((2, 64), (2, 32), (1, 64), (1, 32)):
            found = best._replace(each=each, slice=at_once)
            fits = each * found.outputs <= CHANNELS and found.bytes <= MEMORY
            if fits and found.hidden % at_once == 0:
                return found
        return None

    @property
    def read(self) -> int:
        """Rows of the picture that a tile meets."""
        return self.rows + self.taps[0] - 1

    @property
    def down(self) -> int:
        """Tiles in a column of a picture."""
        return -(-self.size[0] // self.rows)

    @property
    def across(self) -> int:
        """Tiles in a row of a picture."""
        return -(-self.size[1] // self.columns)

    @property
    def total(self) -> int:
        """Tiles of all pictures."""
        return self.batch * self.down * self.across

    @property
    def turns(self) -> int:
        """Times that warpgroups take tiles, all programs together."""
        return -(-self.total // (WARPGROUPS * self.each))

    @property
    def pixels(self) -> int:
        """That a warpgroup takes at once."""
        return self.each * PIXELS

    @property
    def blocks(self) -> int:
        """Of `WIDE` input channels."""
        return self.channels // WIDE

    @property
    def out_blocks(self) -> int:
        """Of `WIDE` output channels."""
        return self.outputs // WIDE

    @property
    def slices(self) -> int:
        """Of hidden channels."""
        return self.hidden // self.slice

    @property
    def bytes(self) -> int:
        """Of shared memory, barriers aside."""
        height, width = self.taps
        pixels = width * WARPGROUPS * self.each * self.read * self.columns * WIDE
        taps = width * height * WIDE * WIDE
        work = WARPGROUPS * max(self.blocks, self.out_blocks) * self.pixels * WIDE
        weights = STAGES * (self.channels + self.outputs) * self.slice
        biases = self.channels + self.hidden + self.outputs
        return 2 * (pixels + taps + work + weights) + 4 * biases

    def place(self, number: Any) -> tuple[Any, Any, Any]:
        """Picture, first row and first column of a tile; beyond the last tile, the last again."""
        number = lax.min(number, self.total - 1)
        inside = lax.rem(number, self.down * self.across)
        row, column = lax.div(inside, self.across), lax.rem(inside, self.across)
        picture = lax.div(number, self.down * self.across)
        return picture, row * self.rows, column * self.columns
