"""The gated recurrence on Hopper and B200 GPUs: one thread a lane walks through time.

Where sequences and lanes are too few to fill a GPU, time is cut into pieces: a first pass finds how
each piece maps the state before it to the state after it, and a second walks all pieces at once.
Forward and backward walk either way.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from kernels_pallas.gated_recurrence.mosaic_gpu_walk import Walk, plan, read, run, stream
from kernels_pallas.gated_recurrence.padding import Padded


def forward(
    decay: jax.Array, x: jax.Array, initial: jax.Array, *, reverse: bool, interpret: bool
) -> jax.Array:
    """All states; arguments as in `reference.gated_recurrence`."""
    walk, fit = plan(decay, (x,), [decay, x, x], reverse)
    before = _before(walk, fit, fit.arrays[0], fit.wide(initial), False, interpret)
    shape = jax.ShapeDtypeStruct(fit.shape, x.dtype)
    (h,) = run(_forward, walk, [shape], [fit.decay, fit.arrays[0], before], interpret)
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
    walk, fit = plan(decay, (states, out_grad), streams, not reverse)
    h, dh = fit.arrays
    start = fit.wide(initial)
    before = _before(walk, fit, dh, jnp.zeros_like(start), True, interpret)
    outs = [
        jax.ShapeDtypeStruct(fit.shape, decay.dtype),
        jax.ShapeDtypeStruct(fit.shape, states.dtype),
        jax.ShapeDtypeStruct(before.shape, before.dtype),
    ]
    kernel = partial(_backward, last=states.shape[1] - 1)
    df, dx, after = run(kernel, walk, outs, [fit.decay, h, dh, start, before], interpret)
    last = 0 if walk.reverse else walk.pieces - 1
    return fit.cut(df), fit.cut(dx), after[:, last, : decay.shape[2]]


def _forward(f_gmem, x_gmem, before_gmem, h_gmem, *, walk: Walk):
    def tile(_, f_smem, x_smem, h_smem, h):
        for group in walk.rows:
            f = [read(f_smem, row) for row in group]
            x = [read(x_smem, row) for row in group]
            for number, row in enumerate(group):
                h = f[number] * h + x[number]
                h_smem[row] = h.astype(h_smem.dtype)
        return h

    h = read(before_gmem, walk.here)
    stream(walk, tile, [(f_gmem, walk.tile), (x_gmem, walk.tile)], [h_gmem], h)


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
    initial = read(initial_gmem, (lax.axis_index("batch"), walk.lane_slice))
    edge = 0 if walk.reverse else last

    def tile(step, f_smem, h_smem, beside_smem, dh_smem, df_smem, dx_smem, carry):
        first = walk.tile(step).start
        for group in walk.rows:
            f = [read(f_smem, row) for row in group]
            dh = [read(dh_smem, row) for row in group]
            # The state one step earlier; of a tile's last row it is in the next tile.
            earlier = [row - 1 if walk.reverse else row + 1 for row in group]
            h = [
                read(h_smem, row) if 0 <= row < walk.steps else read(beside_smem, 0)
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
    carry = read(before_gmem, walk.here)
    after_gmem[walk.here] = stream(walk, tile, streams, [df_gmem, dx_gmem], carry)


def _map(f_gmem, x_gmem, units_gmem, product_gmem, sum_gmem, *, walk: Walk, after: bool):
    """Of each piece, what the state before it is multiplied by and what is added to it."""

    def tile(_, f_smem, x_smem, carry):
        product, h = carry
        for group in walk.rows:
            f = [read(f_smem, row) for row in group]
            x = [read(x_smem, row) for row in group]
            for number in range(len(group)):
                h = f[number] * (x[number] + h) if after else f[number] * h + x[number]
                product = product * f[number]
        return product, h

    start = read(units_gmem, 1), read(units_gmem, 0)
    product, h = stream(walk, tile, [(f_gmem, walk.tile), (x_gmem, walk.tile)], [], start)
    product_gmem[walk.here] = product
    sum_gmem[walk.here] = h


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
    product, added = run(
        kernel, walk, [shape] * 2, [fit.decay, x, units], interpret, streams_out=False
    )
    order = range(walk.pieces)[::-1] if walk.reverse else range(walk.pieces)
    states = {}
    for piece in order:
        states[piece] = start
        # A product that overflowed leaves a state of exact zero where it is.
        still = (start == 0) & jnp.isinf(product[:, piece])
        start = jnp.where(still, 0, product[:, piece] * start) + added[:, piece]
    return jnp.stack([states[piece] for piece in range(walk.pieces)], 1)
