"""How programs of a GPU walk through time: which tiles, and how those come and go.

A program streams tiles [steps, lanes] of one sequence through shared memory, several on their way
at once, and each thread reads only its own lanes: rows are coalesced and no thread waits for
another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas import dispatch, hopper, tuning
from kernels_pallas.gated_recurrence.padding import Padded, padded, tile

GROUP = 8
"""Rows that a thread loads before it uses the first of them."""


class Walk(NamedTuple):
    """How programs share the work and which way they walk.

    Args:
        batch: sequences.
        pieces: of time, each walked by a program of its own.
        tiles: in each piece.
        steps: of a tile.
        slices: of the lanes, each with programs of its own.
        lanes: of a slice.
        stages: tiles in shared memory at once.
        reverse: against time.
    """

    batch: int
    pieces: int
    tiles: int
    steps: int
    slices: int
    lanes: int
    stages: int
    reverse: bool

    @property
    def rows(self) -> list[list[int]]:
        """The rows of a tile in groups, as they are walked."""
        order = range(self.steps)[::-1] if self.reverse else range(self.steps)
        return [list(order[start : start + GROUP]) for start in range(0, self.steps, GROUP)]

    @property
    def lane_slice(self) -> Any:
        """This program's lanes."""
        return pl.ds(lax.axis_index("slice") * self.lanes, self.lanes)

    @property
    def here(self) -> tuple[Any, ...]:
        """This program's lanes of an array [B, pieces, D]."""
        return lax.axis_index("batch"), lax.axis_index("piece"), self.lane_slice

    def tile(self, step: jax.Array) -> Any:
        """The rows that this program walks in its `step`."""
        number = self.tiles - 1 - step if self.reverse else step
        first = lax.axis_index("piece") * self.tiles + number
        return pl.ds(first * self.steps, self.steps)

    def beside(self, step: jax.Array) -> Any:
        """The row after those, the way it walks; any row where there is none."""
        first = self.tile(step).start
        row = first - 1 if self.reverse else first + self.steps
        return pl.ds(jnp.clip(row, 0, self.pieces * self.tiles * self.steps - 1), 1)


def plan(
    decay: jax.Array,
    arrays: tuple[jax.Array, ...],
    streams: Sequence[jax.Array],
    reverse: bool,
) -> tuple[Walk, Padded]:
    """How to walk, and arrays that fit.

    Args:
        decay, arrays: what is padded.
        streams: arrays alike to those that pass through shared memory, in and out.
        reverse: whether the walk is against time.
    """
    sizes = tuning.blocks("gated_recurrence", "mosaic_gpu", dispatch.current_target().kind)
    lanes = 128 * (sizes["width"] if decay.shape[2] > 128 else 1)
    steps = tile(decay.shape[1], sizes["steps"], GROUP)
    fit = padded(decay, *arrays, steps=steps, lanes=lanes)
    batch, time, width = fit.shape
    tiles, slices = time // steps, width // lanes
    stage = (steps + 1) * lanes * sum(array.dtype.itemsize for array in streams)
    stages = max(1, min(sizes["stages"], sizes["memory"] // stage))
    wanted = 1
    if batch * slices < sizes["enough"]:
        wanted = max(1, min(sizes["programs"] // (batch * slices), tiles))
    pieces = max(count for count in range(1, wanted + 1) if tiles % count == 0)
    return Walk(batch, pieces, tiles // pieces, steps, slices, lanes, stages, reverse), fit


def read(ref: Any, row: Any) -> jax.Array:
    """A row of lanes, neighbours in neighbouring threads."""
    return ref[row].astype(jnp.float32)


def stream(
    walk: Walk,
    each: Callable[..., Any],
    streams: Sequence[tuple[Any, Callable[[jax.Array], Any]]],
    outs: Sequence[Any],
    carry: Any,
) -> Any:
    """Walks through this program's tiles and returns the last carry.

    Args:
        walk: how.
        each: from the step's number, a tile of each stream in shared memory, a tile for each
            output, and the carry, to the next carry.
        streams: arrays in memory, and which of their rows a step needs.
        outs: arrays in memory that get the tiles.
        carry: before the first tile.
    """

    def place(ref: Any, rows: Any) -> Any:
        return ref.at[lax.axis_index("batch"), rows, walk.lane_slice]

    def scoped(ins_smem, outs_smem, arrived):
        def fetch(step: jax.Array, slot: jax.Array) -> None:
            for (ref, rows), smem in zip(streams, ins_smem, strict=True):
                source = place(ref, rows(step))
                plgpu.copy_gmem_to_smem(source, smem.at[slot], arrived.at[slot])

        def walked(step: jax.Array, carry: Any) -> Any:
            slot, room = lax.rem(step, stages), lax.rem(step, rooms)
            plgpu.barrier_wait(arrived.at[slot])
            if outs:
                plgpu.wait_smem_to_gmem((rooms - 1) * len(outs), wait_read_only=True)
            ins = [smem.at[slot] for smem in ins_smem]
            carry = each(step, *ins, *(smem.at[room] for smem in outs_smem), carry)
            if outs:
                plgpu.commit_smem()
            for ref, smem in zip(outs, outs_smem, strict=True):
                plgpu.copy_smem_to_gmem(smem.at[room], place(ref, walk.tile(step)))
            pl.when(step + stages < walk.tiles)(lambda: fetch(step + stages, slot))
            return carry

        for step in range(stages):
            fetch(jnp.int32(step), jnp.int32(step))
        # Inside `shard_map` the type of what is read says where it varies; of what is computed from
        # it in a kernel, it does not. A loop takes one type.
        computed = jax.tree.map(lambda array: array * 1.0, carry)
        end = lax.fori_loop(0, walk.tiles, walked, computed)
        plgpu.wait_smem_to_gmem(0)
        return end

    stages, rooms = min(walk.stages, walk.tiles), min(2, walk.tiles)

    def rows_of(rows: Callable[[jax.Array], Any]) -> int:
        return int(rows(jnp.int32(0)).size)

    return pl.run_scoped(
        scoped,
        [plgpu.SMEM((stages, rows_of(rows), walk.lanes), ref.dtype) for ref, rows in streams],
        [plgpu.SMEM((rooms, walk.steps, walk.lanes), ref.dtype) for ref in outs],
        plgpu.Barrier(num_arrivals=len(streams), num_barriers=stages),
    )


def run(
    kernel: Callable[..., None],
    walk: Walk,
    outs: Sequence[jax.ShapeDtypeStruct],
    inputs: Sequence[jax.Array],
    interpret: bool,
    streams_out: bool = True,
) -> Any:
    """Runs a kernel in all programs.

    Args:
        kernel: of `inputs` and `outs` in memory, and `walk`.
        walk: how.
        outs: shapes and types of what it writes.
        inputs: what it reads.
        interpret: whether in the interpreter.
        streams_out: whether tiles pass from shared memory to an output.
    """
    # Threads share no lane, so the barriers that would stand around each store guard nothing. What
    # guards the copies is the barrier of `commit_smem`; a kernel without it keeps all.
    return hopper.kernel(
        partial(kernel, walk=walk),
        out_type=list(outs),
        grid=(walk.slices, walk.pieces, walk.batch),
        grid_names=("slice", "piece", "batch"),
        unsafe_no_auto_barriers=streams_out,
        interpret=interpret,
        kernel_name=f"gated_recurrence{getattr(kernel, 'func', kernel).__name__}",
    )(*inputs)
