"""The gated recurrence on NVIDIA GPUs from Hopper on: one thread a lane walks through time.

A program streams tiles [steps, lanes] of one sequence through shared memory, several on their way
at once, and each thread reads only its own lanes: rows are coalesced and no thread waits for
another. Where sequences and lanes are too few to fill a GPU, time is cut into pieces: a first pass
finds how each piece maps the state before it to the state after it, and a second walks all pieces
at once. Forward and backward walk either way.
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

from kernels_pallas import dispatch, tuning
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


def forward(
    decay: jax.Array, x: jax.Array, initial: jax.Array, *, reverse: bool, interpret: bool
) -> jax.Array:
    """All states; arguments as in `reference.gated_recurrence`."""
    walk, fit = _plan(decay, (x,), [decay, x, x], reverse)
    before = _before(walk, fit, fit.arrays[0], fit.wide(initial), False, interpret)
    shape = jax.ShapeDtypeStruct(fit.shape, x.dtype)
    (h,) = _run(_forward, walk, [shape], [fit.decay, fit.arrays[0], before], interpret)
    return fit.cut(h)


def backward(
    decay: jax.Array,
    states: jax.Array,
    initial: jax.Array,
    out_grad: jax.Array,
    *,
    reverse: bool,
    interpret: bool,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Gradients of decay, x and initial; arguments as in `xla.backward`."""
    streams = [decay, states, out_grad, decay, states]
    walk, fit = _plan(decay, (states, out_grad), streams, not reverse)
    h, dh = fit.arrays
    start = fit.wide(initial)
    before = _before(walk, fit, dh, jnp.zeros_like(start), True, interpret)
    outs = [
        jax.ShapeDtypeStruct(fit.shape, decay.dtype),
        jax.ShapeDtypeStruct(fit.shape, states.dtype),
        jax.ShapeDtypeStruct(before.shape, before.dtype),
    ]
    kernel = partial(_backward, last=states.shape[1] - 1)
    df, dx, after = _run(kernel, walk, outs, [fit.decay, h, dh, start, before], interpret)
    last = 0 if walk.reverse else walk.pieces - 1
    return fit.cut(df), fit.cut(dx), after[:, last, : decay.shape[2]]


def _forward(f_gmem, x_gmem, before_gmem, h_gmem, *, walk: Walk):
    def tile(_, f_smem, x_smem, h_smem, h):
        for group in walk.rows:
            f = [_read(f_smem, row) for row in group]
            x = [_read(x_smem, row) for row in group]
            for number, row in enumerate(group):
                h = f[number] * h + x[number]
                h_smem[row] = h.astype(h_smem.dtype)
        return h

    h = _read(before_gmem, walk.here)
    _stream(walk, tile, [(f_gmem, walk.tile), (x_gmem, walk.tile)], [h_gmem], h)


def _backward(
    f_gmem,
    h_gmem,
    dh_gmem,
    initial_gmem,
    before_gmem,
    df_gmem,
    dx_gmem,
    after_gmem,
    *,
    walk: Walk,
    last: int,
):
    """Walks against the forward pass; the carry is f g of the step it came from."""
    initial = _read(initial_gmem, (lax.axis_index("batch"), walk.lane_slice))
    edge = 0 if walk.reverse else last

    def tile(step, f_smem, h_smem, beside_smem, dh_smem, df_smem, dx_smem, carry):
        first = walk.tile(step).start
        for group in walk.rows:
            f = [_read(f_smem, row) for row in group]
            dh = [_read(dh_smem, row) for row in group]
            # The state one step earlier; of a tile's last row it is in the next tile.
            earlier = [row - 1 if walk.reverse else row + 1 for row in group]
            h = [
                _read(h_smem, row) if 0 <= row < walk.steps else _read(beside_smem, 0)
                for row in earlier
            ]
            for number, row in enumerate(group):
                g = dh[number] + carry
                carry = f[number] * g
                before = jnp.where(first + row == edge, initial, h[number])
                dx_smem[row] = g.astype(dx_smem.dtype)
                df_smem[row] = (g * before).astype(df_smem.dtype)
        return carry

    streams = [
        (f_gmem, walk.tile),
        (h_gmem, walk.tile),
        (h_gmem, walk.beside),
        (dh_gmem, walk.tile),
    ]
    carry = _read(before_gmem, walk.here)
    after_gmem[walk.here] = _stream(walk, tile, streams, [df_gmem, dx_gmem], carry)


def _map(f_gmem, x_gmem, units_gmem, product_gmem, sum_gmem, *, walk: Walk, after: bool):
    """Of each piece, what the state before it is multiplied by and what is added to it."""

    def tile(_, f_smem, x_smem, carry):
        product, h = carry
        for group in walk.rows:
            f = [_read(f_smem, row) for row in group]
            x = [_read(x_smem, row) for row in group]
            for number in range(len(group)):
                h = f[number] * (x[number] + h) if after else f[number] * h + x[number]
                product = product * f[number]
        return product, h

    start = _read(units_gmem, 1), _read(units_gmem, 0)
    product, h = _stream(walk, tile, [(f_gmem, walk.tile), (x_gmem, walk.tile)], [], start)
    product_gmem[walk.here] = product
    sum_gmem[walk.here] = h


def _read(ref: Any, row: Any) -> jax.Array:
    """A row of lanes, neighbours in neighbouring threads."""
    return ref[row].astype(jnp.float32)


def _stream(
    walk: Walk,
    tile: Callable[..., Any],
    streams: Sequence[tuple[Any, Callable[[jax.Array], Any]]],
    outs: Sequence[Any],
    carry: Any,
) -> Any:
    """Walks through this program's tiles and returns the last carry.

    Args:
        walk: how.
        tile: from the step's number, a tile of each stream in shared memory, a tile for each
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
            carry = tile(step, *ins, *(smem.at[room] for smem in outs_smem), carry)
            if outs:
                plgpu.commit_smem()
            for ref, smem in zip(outs, outs_smem, strict=True):
                plgpu.copy_smem_to_gmem(smem.at[room], place(ref, walk.tile(step)))
            pl.when(step + stages < walk.tiles)(lambda: fetch(step + stages, slot))
            return carry

        for step in range(stages):
            fetch(jnp.int32(step), jnp.int32(step))
        end = lax.fori_loop(0, walk.tiles, walked, carry)
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


def _before(
    walk: Walk, fit: Padded, x: jax.Array, start: jax.Array, after: bool, interpret: bool
) -> jax.Array:
    """The carry before each piece, [B, pieces, D].

    Args:
        walk, fit, interpret: as above.
        x: what is added, padded.
        start: the carry before the first piece walked, [B, D].
        after: whether the decay of a step multiplies what leaves it, as in the gradient, and not
            what comes to it.
    """
    if walk.pieces == 1:
        return start[:, None]
    shape = jax.ShapeDtypeStruct((walk.batch, walk.pieces, fit.shape[2]), jnp.float32)
    kernel = partial(_map, after=after)
    # A carry is in the registers of its threads from the start only where it is read from memory.
    units = jnp.broadcast_to(jnp.arange(2, dtype=jnp.float32)[:, None], (2, walk.lanes))
    product, added = _run(kernel, walk, [shape] * 2, [fit.decay, x, units], interpret)
    order = range(walk.pieces)[::-1] if walk.reverse else range(walk.pieces)
    states = {}
    for piece in order:
        states[piece] = start
        # A product that overflowed leaves a state of exact zero where it is.
        still = (start == 0) & jnp.isinf(product[:, piece])
        start = jnp.where(still, 0, product[:, piece] * start) + added[:, piece]
    return jnp.stack([states[piece] for piece in range(walk.pieces)], 1)


def _run(
    kernel: Callable[..., None],
    walk: Walk,
    outs: Sequence[jax.ShapeDtypeStruct],
    inputs: Sequence[jax.Array],
    interpret: bool,
) -> Any:
    # Threads share no lane, so the barriers that would stand around each store guard nothing. What
    # guards the copies is the barrier of `commit_smem`; a kernel without it keeps all.
    streams_out = any(out.shape[1] != walk.pieces for out in outs)
    options: dict[str, Any] = {"interpret": _interpreter()} if interpret else {}
    return plgpu.kernel(
        partial(kernel, walk=walk),
        out_type=list(outs),
        grid=(walk.slices, walk.pieces, walk.batch),
        grid_names=("slice", "piece", "batch"),
        compiler_params=plgpu.CompilerParams(unsafe_no_auto_barriers=streams_out),
        kernel_name=f"gated_recurrence{getattr(kernel, 'func', kernel).__name__}",
        **options,
    )(*inputs)


def _interpreter() -> Any:
    from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams

    return InterpretGPUParams()


def _plan(
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
