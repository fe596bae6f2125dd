"""A matrix kept as its blocks that are not zero, and the static list of where they stand."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels_pallas import checks

OP = "block_sparse_matmul"
BLOCK = 64
"""Rows and columns of a block where nothing else is said. A TPU's matrix unit wants 128."""


@dataclass(frozen=True)
class BlockPattern:
    """Which blocks of a matrix [K, N] are kept. Hashable, so that it can be static under `jit`.

    Args:
        rows: K.
        columns: N.
        kept: (row, column) of each kept block, counted in blocks, column by column.
        block: rows and columns of a block. The last blocks may reach beyond K and N: what they
            hold there is zero.

    Raises:
        ValueError: naming the field that does not fit.
    """

    rows: int
    columns: int
    kept: tuple[tuple[int, int], ...]
    block: tuple[int, int] = (BLOCK, BLOCK)

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            _whole(f"BlockPattern: {name}", getattr(self, name))
        block = _pair("BlockPattern", self.block)
        kept = tuple((int(row), int(column)) for row, column in self.kept)
        high, wide = self.grid
        for row, column in kept:
            if not (0 <= row < high and 0 <= column < wide):
                raise ValueError(
                    f"BlockPattern: kept has block {(row, column)}; a matrix of {self.rows} x"
                    f" {self.columns} has {high} x {wide} blocks of {block[0]} x {block[1]}"
                )
        if sorted(set(kept), key=_by_column) != list(kept):
            raise ValueError("BlockPattern: kept must name each block once, column by column")
        object.__setattr__(self, "kept", kept)
        object.__setattr__(self, "block", block)

    @property
    def grid(self) -> tuple[int, int]:
        """Blocks down and across, kept or not."""
        return -(-self.rows // self.block[0]), -(-self.columns // self.block[1])

    @property
    def filled(self) -> tuple[int, int]:
        """K and N filled up to whole blocks."""
        return self.grid[0] * self.block[0], self.grid[1] * self.block[1]

    @property
    def density(self) -> float:
        """Share of the blocks that are kept."""
        return len(self.kept) / (self.grid[0] * self.grid[1])

    @functools.cached_property
    def rows_of(self) -> tuple[tuple[int, ...], ...]:
        """Rows of the kept blocks in each column of blocks."""
        found: list[list[int]] = [[] for _ in range(self.grid[1])]
        for row, column in self.kept:
            found[column].append(row)
        return tuple(map(tuple, found))

    @functools.cached_property
    def transposed(self) -> tuple[BlockPattern, tuple[int, ...]]:
        """The pattern of the transposed matrix, and which block stands at each of its places."""
        order = sorted(range(len(self.kept)), key=lambda n: self.kept[n])
        kept = tuple((self.kept[n][1], self.kept[n][0]) for n in order)
        turned = BlockPattern(self.columns, self.rows, kept, (self.block[1], self.block[0]))
        return turned, tuple(order)


def pack_blocks(
    w: jax.Array, block: int | Sequence[int] = BLOCK, *, keep: Any = None
) -> tuple[jax.Array, BlockPattern]:
    """The kept blocks of w, [blocks, block rows, block columns], and where they stand.

    Args:
        w: [K, N].
        block: rows and columns of a block, both as one number or each.
        keep: booleans [ceil(K / rows), ceil(N / columns)], known; the blocks that hold anything
            but zeros where none is given, which needs a w that is not traced.

    Raises:
        ValueError: a w that is no matrix, a block that is none, a `keep` of another shape, or a
            traced w without `keep`.
    """
    op = "pack_blocks"
    checks.shapes(op, w=(w, "K N"))
    high, wide = _pair(op, block)
    grid = -(-w.shape[0] // high), -(-w.shape[1] // wide)
    if keep is None:
        if isinstance(w, jax.core.Tracer):
            raise ValueError(f"{op}: w is traced, so which blocks are zero is not known; give keep")
        keep = np.asarray(jnp.any(_tiles(w, (high, wide)) != 0, axis=(2, 3)))
    if isinstance(keep, jax.core.Tracer):
        raise ValueError(f"{op}: keep is traced; which blocks are kept must be known")
    keep = np.asarray(keep)
    if keep.shape != grid or keep.dtype != np.bool_:
        raise ValueError(
            f"{op}: keep is {keep.dtype}{list(keep.shape)}; needed bool{list(grid)}, one for each"
            f" block of {high} x {wide}"
        )
    kept = tuple((int(row), int(column)) for column, row in np.argwhere(keep.T))
    pattern = BlockPattern(w.shape[0], w.shape[1], kept, (high, wide))
    return _picked(_tiles(w, pattern.block), pattern), pattern


def unpack_blocks(blocks: jax.Array, pattern: BlockPattern) -> jax.Array:
    """The matrix [K, N] with zeros where no block is kept.

    Raises:
        ValueError: blocks that are not those of the pattern.
    """
    check_blocks("unpack_blocks", blocks, pattern)
    high, wide = pattern.grid
    places = np.full((high, wide), len(pattern.kept))
    for number, place in enumerate(pattern.kept):
        places[place] = number
    zero = jnp.zeros((1, *pattern.block), blocks.dtype)
    tiles = jnp.concatenate([blocks, zero])[places]
    whole = tiles.transpose(0, 2, 1, 3).reshape(pattern.filled)
    return whole[: pattern.rows, : pattern.columns]


def blocks_of(w: jax.Array, pattern: BlockPattern) -> jax.Array:
    """The blocks of w [K, N] that a pattern keeps, [blocks, block rows, block columns]."""
    return _picked(_tiles(w, pattern.block), pattern)


def check_blocks(op: str, blocks: jax.Array, pattern: BlockPattern) -> None:
    """`blocks` are those of the pattern.

    Raises:
        TypeError: if `pattern` is none.
        ValueError: if their shape is another.
    """
    if not isinstance(pattern, BlockPattern):
        raise TypeError(f"{op}: pattern is of type {type(pattern).__name__}; needed a BlockPattern")
    checks.arrays(op, blocks=blocks)
    needed = (len(pattern.kept), *pattern.block)
    if tuple(blocks.shape) != needed:
        raise ValueError(
            f"{op}: blocks has shape {tuple(blocks.shape)}; the pattern keeps {list(needed)}"
        )


def _tiles(w: jax.Array, block: tuple[int, int]) -> jax.Array:
    """[blocks down, blocks across, block rows, block columns], filled with zeros."""
    high, wide = block
    whole = jnp.pad(w, ((0, -w.shape[0] % high), (0, -w.shape[1] % wide)))
    tiles = whole.reshape(whole.shape[0] // high, high, whole.shape[1] // wide, wide)
    return tiles.transpose(0, 2, 1, 3)


def _picked(tiles: jax.Array, pattern: BlockPattern) -> jax.Array:
    rows, columns = np.array(pattern.kept, int).reshape(-1, 2).T
    return tiles[rows, columns]


def _by_column(place: tuple[int, int]) -> tuple[int, int]:
    return place[1], place[0]


def _pair(op: str, block: Any) -> tuple[int, int]:
    sides = (block, block) if isinstance(block, int) else tuple(block)
    if len(sides) != 2:
        raise ValueError(f"{op}: block={block!r}; needed a whole number from 1 on, or two")
    return _whole(f"{op}: block", sides[0]), _whole(f"{op}: block", sides[1])


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}={value!r}; needed a whole number from 1 on")
    return int(value)
