"""The gated recurrence on TPU: a program walks through time, eight steps in one vector register.

Tiles are [steps, lanes] of one sequence, so nothing is transposed. The eight rows of a register
are joined in three doublings, and only their end is carried from register to register; the carry
crosses tiles in scratch, time being the last axis of the grid. Forward and backward walk either
way.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas import dispatch, mosaic, tuning
from kernels_pallas.costs import Cost
from kernels_pallas.gated_recurrence import cost
from kernels_pallas.gated_recurrence.padding import Padded, padded, tile

ROWS = 8
"""Rows of a vector register of 32 bits."""

SLAB = 16
"""Rows read at once: the tile of 16-bit types, two registers of 32 bits."""


def forward(
    decay: jax.Array, x: jax.Array, initial: jax.Array, *, reverse: bool, interpret: bool
) -> jax.Array:
    """All states; arguments as in `reference.gated_recurrence`."""
    steps, lanes = _blocks(x.shape)
    fit = padded(decay, x, steps=steps, lanes=lanes)
    grid = _Grid(fit, steps, lanes, reverse)
    (h,) = grid.call(
        partial(_forward, reverse=reverse),
        [grid.tile, grid.tile, grid.row],
        [fit.decay, fit.arrays[0], grid.rows(initial)],
        [grid.tiles_of(x.dtype)],
        cost.forward(fit.shape, decay_size=decay.dtype.itemsize, size=x.dtype.itemsize),
        interpret,
    )
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
    steps, lanes = _blocks(states.shape)
    fit = padded(decay, states, out_grad, steps=steps, lanes=lanes)
    grid = _Grid(fit, steps, lanes, not reverse)
    h, dh = fit.arrays
    df, dx, start = grid.call(
        partial(_backward, reverse=reverse, last=states.shape[1] - 1),
        [grid.tile, grid.tile, grid.slab_before, grid.tile, grid.row],
        [fit.decay, h, h, dh, grid.rows(initial)],
        [grid.tiles_of(decay.dtype), grid.tiles_of(states.dtype), grid.rows_of(initial.dtype)],
        cost.backward(fit.shape, decay_size=decay.dtype.itemsize, size=states.dtype.itemsize),
        interpret,
    )
    return fit.cut(df), fit.cut(dx), start[:, 0, : decay.shape[2]]


def _forward(f_ref, x_ref, initial_ref, h_ref, carry_ref, *, reverse):
    @pl.when(pl.program_id(2) == 0)
    def _():
        carry_ref[...] = initial_ref[...]

    def slab(at: jax.Array, carry: jax.Array) -> jax.Array:
        here = _slab(at)
        f, x = _read(f_ref, here), _read(x_ref, here)
        out = {}
        for rows in _registers(reverse):
            out[rows.start], carry = _register(f[rows], x[rows], carry, reverse)
        h_ref[here] = _joined(out).astype(h_ref.dtype)
        return carry

    carry_ref[...] = _walk(h_ref, slab, carry_ref[...], reverse)


def _backward(
    f_ref,
    h_ref,
    edge_ref,
    dh_ref,
    initial_ref,
    df_ref,
    dx_ref,
    start_ref,
    carry_ref,
    *,
    reverse,
    last,
):
    """Walks against the forward pass; the carry is f g of the step it came from."""
    step, tiles = pl.program_id(2), pl.num_programs(2)
    first = (step if reverse else tiles - 1 - step) * h_ref.shape[0]

    @pl.when(step == 0)
    def _():
        carry_ref[...] = jnp.zeros_like(carry_ref)

    slabs = h_ref.shape[0] // SLAB
    edge = _end(_read(edge_ref, slice(None)), reverse)

    def slab(at: jax.Array, carry: jax.Array) -> jax.Array:
        here = _slab(at)
        f, h, dh = (_read(ref, here) for ref in (f_ref, h_ref, dh_ref))
        # The states one step earlier: this slab's, moved by a row, and the end of its neighbour.
        near = jnp.clip(at + (1 if reverse else -1), 0, slabs - 1)
        beside = _end(_read(h_ref, _slab(near)), reverse)
        beside = jnp.where(at == (slabs - 1 if reverse else 0), edge, beside)
        rows = jax.lax.broadcasted_iota(jnp.int32, h.shape, 0)
        moved = pltpu.roll(h, SLAB - 1 if reverse else 1, 0)
        moved = jnp.where(rows == (SLAB - 1 if reverse else 0), beside, moved)
        start = (last if reverse else 0) - first - at * SLAB
        moved = jnp.where(rows == start, initial_ref[...], moved)
        out = {}
        for part in _registers(not reverse):
            # A gradient is multiplied by the decay of the step it came from, one row further on.
            later = pltpu.roll(f[part], 1 if reverse else ROWS - 1, 0)
            rows = jax.lax.broadcasted_iota(jnp.int32, later.shape, 0)
            later = jnp.where(rows == (0 if reverse else ROWS - 1), 1.0, later)
            g, _ = _register(later, dh[part], carry, not reverse)
            carry = _end(f[part] * g, not reverse)
            out[part.start] = g
        g = _joined(out)
        dx_ref[here] = g.astype(dx_ref.dtype)
        df_ref[here] = (g * moved).astype(df_ref.dtype)
        return carry

    carry_ref[...] = _walk(h_ref, slab, carry_ref[...], not reverse)
    start_ref[...] = carry_ref[...]


def _register(
    f: jax.Array, x: jax.Array, carry: jax.Array, reverse: bool
) -> tuple[jax.Array, jax.Array]:
    """Eight steps at once: f and x [8, lanes], carry [1, lanes]; the states, and the last."""
    rows = jax.lax.broadcasted_iota(jnp.int32, f.shape, 0)
    for distance in (1, 2, 4):
        turn = ROWS - distance if reverse else distance
        inside = rows < ROWS - distance if reverse else rows >= distance
        x = jnp.where(inside, f * pltpu.roll(x, turn, 0) + x, x)
        f = jnp.where(inside, f * pltpu.roll(f, turn, 0), f)
    h = f * carry + x
    return h, _end(h, reverse)


def _walk(ref: Any, slab: Any, carry: jax.Array, reverse: bool) -> jax.Array:
    count = ref.shape[0] // SLAB
    turned = (lambda at, c: slab(count - 1 - at, c)) if reverse else slab
    return jax.lax.fori_loop(0, count, turned, carry)


def _slab(at: jax.Array) -> Any:
    return pl.ds(pl.multiple_of(at * SLAB, SLAB), SLAB)


def _registers(reverse: bool) -> list[slice]:
    parts = [slice(start, start + ROWS) for start in range(0, SLAB, ROWS)]
    return parts[::-1] if reverse else parts


def _joined(parts: dict[int, jax.Array]) -> jax.Array:
    return jnp.concatenate([parts[start] for start in sorted(parts)], 0)


def _end(rows: jax.Array, reverse: bool) -> jax.Array:
    """The row that a walk through `rows` comes to last, [1, lanes]."""
    return rows[:1] if reverse else rows[-1:]


def _read(ref: Any, here: Any) -> jax.Array:
    return ref[here].astype(jnp.float32)


def _blocks(shape: tuple[int, ...]) -> tuple[int, int]:
    """Steps and lanes of a tile."""
    sizes = tuning.blocks("gated_recurrence", "mosaic_tpu", dispatch.current_target().kind)
    return tile(shape[1], sizes["steps"], SLAB), tile(shape[2], sizes["lanes"], 128)


class _Grid:
    """Programs over sequences, lanes and, last and in order, tiles of time."""

    def __init__(self, fit: Padded, steps: int, lanes: int, reverse: bool) -> None:
        batch, time, width = fit.shape
        self.fit, self.lanes = fit, lanes
        self.grid = (batch, width // lanes, time // steps)
        tiles, slabs = time // steps, time // SLAB

        def turned(t: Any) -> Any:
            return tiles - 1 - t if reverse else t

        def before(b: Any, d: Any, t: Any) -> Any:
            # Against time (`reverse`), what was before a tile is the slab at its beginning.
            tile = turned(t)
            beside = tile * (steps // SLAB) - 1 if reverse else (tile + 1) * (steps // SLAB)
            return b, jnp.clip(beside, 0, slabs - 1), d

        self.tile = pl.BlockSpec((None, steps, lanes), lambda b, d, t: (b, turned(t), d))
        self.slab_before = pl.BlockSpec((None, SLAB, lanes), before)
        self.row = pl.BlockSpec((None, 1, lanes), lambda b, d, t: (b, 0, d))

    def rows(self, state: jax.Array) -> jax.Array:
        """A state [B, D] as the kernels read it."""
        return self.fit.wide(state)[:, None]

    def tiles_of(self, dtype: Any) -> tuple[pl.BlockSpec, jax.ShapeDtypeStruct]:
        """An output [B, T, D] that is written by tiles."""
        return self.tile, jax.ShapeDtypeStruct(self.fit.shape, dtype)

    def rows_of(self, dtype: Any) -> tuple[pl.BlockSpec, jax.ShapeDtypeStruct]:
        """An output [B, 1, D]: a state, whose last value in time's order stays."""
        batch, _, width = self.fit.shape
        return self.row, jax.ShapeDtypeStruct((batch, 1, width), dtype)

    def call(
        self, kernel: Any, in_specs: Any, inputs: Any, outs: Any, costs: Cost, interpret: bool
    ) -> Any:
        """Runs a kernel: `outs` from `tiles_of` and `rows_of`, the carry as its last argument."""
        return mosaic.call(
            kernel,
            out_shape=[shape for _, shape in outs],
            grid=self.grid,
            in_specs=in_specs,
            out_specs=[spec for spec, _ in outs],
            scratch_shapes=[pltpu.VMEM((1, self.lanes), jnp.float32)],
            compiler_params=pltpu.CompilerParams(
                dimension_semantics=("parallel", "parallel", "arbitrary")
            ),
            cost_estimate=costs.estimate(),
            interpret=interpret,
            name=f"gated_recurrence{kernel.func.__name__}",
        )(*inputs)
