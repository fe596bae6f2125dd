"""What a program on Hopper does: one warpgroup fetches, two compute, and barriers between them.

A buffer has a barrier that says it is full and one that says it is empty. The interpreter of Mosaic
GPU has no two views of one buffer, no copies across an array's edge, no factors in registers and no
layouts: for these it gets words of its own, all else is the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas.convfirst_block import mosaic_gpu_buffers as buffers
from kernels_pallas.convfirst_block.block import Known
from kernels_pallas.convfirst_block.mosaic_gpu_buffers import (
    LOW,
    Barriers,
    Given,
    Shared,
    Turns,
)
from kernels_pallas.convfirst_block.mosaic_gpu_tiles import PIXELS, STAGES, WARPGROUPS, WIDE, Tiles

FETCHES, COMPUTES = 24, 240
"""Registers of a thread that fetches, and of one that computes."""

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "silu": lambda v: 0.5 * v + 0.5 * v * jnp.tanh(0.5 * v),
    "relu": lambda v: jnp.maximum(v, 0.0),
    "relu6": lambda v: jnp.minimum(jnp.maximum(v, 0.0), 6.0),
    "hard_swish": lambda v: v * jnp.minimum(jnp.maximum(v + 3.0, 0.0), 6.0) * (1 / 6),
}
"""Those of every form, in operations that the GPU has."""


def program(tiles: Tiles, how: Known, interpret: bool, *refs: Any) -> None:
    """The kernel, of what is `Given` and the result.

    Args:
        tiles: how the work is cut.
        how: what is static of the block.
        interpret: whether the kernel runs in the interpreter.
    """
    *given, out = refs

    def scoped(shared: Shared, barriers: Barriers) -> None:
        shared = buffers.viewed(shared, interpret)
        block = Program(tiles, how, interpret, Given(*given), out, shared, barriers)
        warpgroup = lax.axis_index("warpgroup")
        pl.when(warpgroup == WARPGROUPS)(block.fetch)
        pl.when(warpgroup < WARPGROUPS)(partial(block.compute, warpgroup))

    pl.run_scoped(
        scoped,
        buffers.shared(tiles, interpret),
        buffers.barriers(tiles, interpret),
        collective_axes="warpgroup",
    )


class Program(NamedTuple):
    """A program's view of the work.

    Args:
        tiles, how, interpret: as in `program`.
        given, out: in memory.
        shared, barriers: of the program.
    """

    tiles: Tiles
    how: Known
    interpret: bool
    given: Given
    out: Any
    shared: Shared
    barriers: Barriers

    def each_turn(self, do: Callable[[jax.Array, jax.Array], None]) -> jax.Array:
        """Calls `do` with the number of each turn of this program, and its first tile.

        Returns:
            how many turns there are, one at least.
        """
        place, programs = lax.axis_index("program"), lax.axis_size("program")
        turns = lax.div(self.tiles.turns - place + (programs - 1), programs)

        def one(turn: jax.Array, _: None) -> None:
            do(turn, (turn * programs + place) * (WARPGROUPS * self.tiles.each))

        lax.fori_loop(0, turns, one, None)
        return turns

    def fetch(self) -> None:
        """What the warpgroup does that fetches, until the last buffer is empty again."""
        plgpu.set_max_registers(FETCHES, action="decrease")
        for name in ("bias", "expand_bias", "project_bias"):
            source, target = getattr(self.given, name), getattr(self.shared, name)
            plgpu.copy_gmem_to_smem(source, target, self.barriers.constants)

        def whole(turn: jax.Array, first: jax.Array) -> None:
            pixels = partial(self._fetch_pixels, turn, first)
            lax.fori_loop(0, self.tiles.blocks, pixels, None)
            lax.fori_loop(0, self.tiles.slices, partial(self._fetch_slice, turn), None)

        turns = self.each_turn(whole)
        for column in range(self.tiles.taps[1]):
            plgpu.barrier_wait(self.barriers.pixels.empty.at[column])
        for slot in range(STAGES):
            pl.when(turns * self.tiles.slices > slot)(partial(self._emptied_slices, slot))

    def _emptied_slices(self, slot: int) -> None:
        plgpu.barrier_wait(self.barriers.expand.empty.at[slot])
        plgpu.barrier_wait(self.barriers.project.empty.at[slot])

    def compute(self, warpgroup: jax.Array) -> None:
        """What a warpgroup does that computes."""
        plgpu.set_max_registers(COMPUTES, action="increase")
        plgpu.barrier_wait(self.barriers.constants)
        sums = plgpu.ACC((self.tiles.pixels, self.tiles.outputs), jnp.float32)

        def whole(turn: jax.Array, first: jax.Array) -> None:
            pl.run_scoped(partial(self._block, warpgroup, turn, first), sums)

        self.each_turn(whole)
        plgpu.wait_smem_to_gmem(0)

    def _fetch_pixels(self, turn: jax.Array, first: jax.Array, block: jax.Array, _: None) -> None:
        """A block of the tiles' channels and their taps, a column of taps at a time."""
        tiles, turns = self.tiles, self.barriers.pixels
        for column in range(tiles.taps[1]):
            full = _emptied(turns, column, turn * tiles.blocks + block)
            taps = self.given.taps.at[block, column]
            plgpu.copy_gmem_to_smem(taps, self.shared.taps.at[column], full)
            for number in range(WARPGROUPS * tiles.each):
                (tile,) = _unforeseen(first + number)
                place = tiles.place(tile)
                where = (column, *divmod(number, tiles.each))
                self._fetch_tile(place, block, column, where, full)

    def _fetch_tile(
        self, place: tuple[Any, Any, Any], block: jax.Array, column: int, where: Any, full: Any
    ) -> None:
        """A tile and the rows around it, from one column of taps on."""
        tiles, (picture, row, start) = self.tiles, place
        channels = pl.ds(block * WIDE, WIDE)
        if self.interpret:  # of a picture with zeros around it, row by row
            columns = pl.ds(start + column, tiles.columns)
            for down in range(tiles.read):
                source = self.given.x.at[picture, row + down, columns, channels]
                rows = pl.ds(down * tiles.columns, tiles.columns)
                target = self.shared.pixels.matrices.at[(*where, rows)]
                plgpu.copy_gmem_to_smem(source, target, full)
            return
        (above, _), (left, _) = self.how.window.padding
        rows, columns = pl.ds(row - above, tiles.read), pl.ds(start + column - left, tiles.columns)
        source = self.given.x.at[picture, rows, columns, channels]
        plgpu.copy_gmem_to_smem(source, self.shared.pixels.pictures.at[where], full)

    def _fetch_slice(self, turn: jax.Array, index: jax.Array, _: None) -> None:
        """The columns of one matrix and the rows of the other that a slice takes."""
        tiles, given, shared = self.tiles, self.given, self.shared
        count = turn * tiles.slices + index
        slot, used = lax.rem(count, STAGES), lax.div(count, STAGES)
        hidden = pl.ds(index * tiles.slice, tiles.slice)
        full = _emptied(self.barriers.expand, slot, used)
        plgpu.copy_gmem_to_smem(given.expand.at[:, hidden], shared.expand.at[slot], full)
        full = _emptied(self.barriers.project, slot, used)
        plgpu.copy_gmem_to_smem(given.project.at[hidden], shared.project.at[slot], full)

    def _block(self, warpgroup: jax.Array, turn: jax.Array, first: jax.Array, sums: Any) -> None:
        """The block of a warpgroup's tiles."""
        tiles, shared, size = self.tiles, self.shared, (self.tiles.pixels, WIDE)
        work = shared.work.matrices
        for block in range(tiles.blocks):
            z = pl.run_scoped(partial(self._convolve, warpgroup), plgpu.ACC(size, jnp.float32))
            if block == 0:  # the last turn's result has left
                plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            work[warpgroup, block] = (z + self._row(shared.bias[block], size)).astype(LOW)
        plgpu.commit_smem()
        lax.fori_loop(0, tiles.slices, partial(self._slice, warpgroup, turn, first, sums), None)
        y = sums[...]
        if self.how.residual:
            plgpu.barrier_wait(self.barriers.own.at[warpgroup])
        for block in range(tiles.out_blocks):
            part = lax.slice(y, (0, block * WIDE), (tiles.pixels, (block + 1) * WIDE))
            part = part + self._row(shared.project_bias[block], size)
            if self.how.residual:
                part = part + work[warpgroup, block].astype(jnp.float32)
            work[warpgroup, block] = part.astype(LOW)
        plgpu.commit_smem()
        for place, held, cut in self._moves(warpgroup, first, (0, 0)):
            plgpu.copy_smem_to_gmem(held, self.out.at[(*place, cut)])

    def _convolve(self, warpgroup: jax.Array, z: Any) -> jax.Array:
        """The next block of channels."""
        tiles, turns = self.tiles, self.barriers.pixels
        for column in range(tiles.taps[1]):
            plgpu.barrier_wait(turns.full.at[column])
            slot, here = _unforeseen(column, warpgroup)
            for each in range(tiles.each):
                pixels = self.shared.pixels.matrices.at[slot, here, each]
                rows = pl.ds(each * PIXELS, PIXELS)
                for down in range(tiles.taps[0]):
                    met = pixels.at[pl.ds(down * tiles.columns, PIXELS)]
                    tap = self.shared.taps.at[slot, pl.ds(down * WIDE, WIDE)]
                    plgpu.wgmma(z.at[rows], met, tap)
            plgpu.wgmma_wait(0)
            plgpu.barrier_arrive(turns.empty.at[column])
        return z[...]

    def _slice(
        self,
        warpgroup: jax.Array,
        turn: jax.Array,
        first: jax.Array,
        sums: Any,
        index: jax.Array,
        _: None,
    ) -> None:
        """What a slice of hidden channels adds."""
        tiles, shared, size = self.tiles, self.shared, (self.tiles.pixels, WIDE)
        parts = tiles.slice // WIDE
        expands, projects = self.barriers.expand, self.barriers.project
        slot = lax.rem(turn * tiles.slices + index, STAGES)

        plgpu.barrier_wait(expands.full.at[slot])
        hidden = pl.run_scoped(
            partial(self._expanded, warpgroup, slot),
            plgpu.ACC((tiles.pixels, tiles.slice), jnp.float32),
        )
        plgpu.barrier_arrive(expands.empty.at[slot])
        if self.how.residual:  # after its last use, `work` has room for the input
            own = partial(self._fetch_own, warpgroup, first)
            pl.when(index == tiles.slices - 1)(own)
        plgpu.barrier_wait(projects.full.at[slot])
        for start in range(0, tiles.slice, WIDE):  # a part's product goes on beside the next sums
            part = lax.slice(hidden, (0, start), (tiles.pixels, start + WIDE))
            part = part + self._row(shared.expand_bias[index * parts + start // WIDE], size)
            factor: Any = ACTIVATIONS[self.how.activation](part).astype(LOW)
            if self.interpret:
                shared.hidden[warpgroup] = factor
                factor = shared.hidden.at[warpgroup]
            plgpu.wgmma(sums, factor, shared.project.at[slot, pl.ds(start, WIDE)])
        plgpu.wgmma_wait(0)
        plgpu.barrier_arrive(projects.empty.at[slot])

    def _expanded(self, warpgroup: jax.Array, slot: jax.Array, hidden: Any) -> jax.Array:
        """A slice of hidden channels, before their bias."""
        (here,) = _unforeseen(warpgroup)
        for block in range(self.tiles.blocks):
            z = self.shared.work.matrices.at[here, block]
            plgpu.wgmma(hidden, z, self.shared.expand.at[slot, pl.ds(block * WIDE, WIDE)])
        return hidden[...]

    def _fetch_own(self, warpgroup: jax.Array, first: jax.Array) -> None:
        """The input at a warpgroup's own tiles."""
        (above, _), (left, _) = self.how.window.padding
        corner = (above, left) if self.interpret else (0, 0)
        for place, held, cut in self._moves(warpgroup, first, corner):
            source = self.given.x.at[(*place, cut)]
            plgpu.copy_gmem_to_smem(source, held, self.barriers.own.at[warpgroup])

    def _moves(
        self, warpgroup: jax.Array, first: jax.Array, corner: tuple[int, int]
    ) -> Iterator[tuple[tuple[Any, Any, Any], Any, Any]]:
        """Copies of a warpgroup's tiles between `work` and pictures.

        Args:
            warpgroup: its number.
            first: the program's first tile.
            corner: row and column where the pictures begin.

        Yields:
            picture, rows and columns; what of `work` goes there or comes from there; channels.
        """
        tiles, (matrices, pictures) = self.tiles, self.shared.work
        for each in range(tiles.each):
            (number,) = _unforeseen(first + warpgroup * tiles.each + each)
            picture, row, start = tiles.place(number)
            row, columns = row + corner[0], pl.ds(start + corner[1], tiles.columns)
            for block in range(tiles.out_blocks):
                channels = pl.ds(block * WIDE, WIDE)
                if not self.interpret:
                    held = pictures.at[warpgroup, block, each]
                    yield (picture, pl.ds(row, tiles.rows), columns), held, channels
                    continue
                for down in range(tiles.rows):
                    pixels = pl.ds(each * PIXELS + down * tiles.columns, tiles.columns)
                    held = matrices.at[warpgroup, block, pixels]
                    yield (picture, row + down, columns), held, channels

    def _row(self, vector: jax.Array, size: tuple[int, int]) -> jax.Array:
        """A vector read from shared memory, in every row."""
        if not self.interpret:
            vector = plgpu.layout_cast(vector, plgpu.Layout.WGMMA.reduce(0))
        return lax.broadcast_in_dim(vector, size, (1,))


def _emptied(turns: Turns, slot: Any, used: jax.Array) -> Any:
    """The barrier that a buffer is full, once it is empty; it has been filled `used` times."""
    pl.when(used > 0)(lambda: plgpu.barrier_wait(turns.empty.at[slot]))
    return turns.full.at[slot]


def _unforeseen(*numbers: Any) -> Any:
    """The same numbers, of which the compiler shall not know that they are.

    It would else find what follows from them before all loops, and run out of registers holding it.
    """
    return lax.optimization_barrier(tuple(jnp.asarray(one, jnp.int32) for one in numbers))
