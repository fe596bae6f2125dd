"""The gated recurrence in plain XLA: in place on a CPU, by halves in parallel elsewhere.

On a CPU one loop that writes states where they belong keeps up with memory, whatever the width;
elsewhere a loop costs a kernel launch for each step, and log T passes over the arrays cost less.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from kernels_pallas import manual

Gradients = tuple[jax.Array, jax.Array, jax.Array]

FEW = 1 << 16
"""Elements up to which the gradient of decay is formed in a CPU's loop: waking threads for a pass
of its own takes longer. Above, that pass runs on all threads."""


def forward(decay: jax.Array, x: jax.Array, initial: jax.Array, *, reverse: bool) -> jax.Array:
    """All states [B, T, D]; arguments as in `reference.gated_recurrence`."""
    return lax.platform_dependent(
        decay,
        x,
        initial,
        cpu=partial(_loop, reverse=reverse),
        default=partial(_halves, reverse=reverse),
    )


def backward(
    decay: jax.Array, states: jax.Array, initial: jax.Array, out_grad: jax.Array, *, reverse: bool
) -> Gradients:
    """Gradients of decay, x and initial.

    g_t = dh_t + f_{t+1} g_{t+1}, dx = g, df_t = g_t h_{t-1}; both neighbours swap if `reverse`.

    Args:
        decay, initial, reverse: as in `forward`.
        states: what `forward` returned.
        out_grad: dh, the gradient of the states.
    """
    return lax.platform_dependent(
        decay,
        states,
        initial,
        out_grad,
        cpu=partial(_loop_backward, reverse=reverse),
        default=partial(_halves_backward, reverse=reverse),
    )


def _loop(decay: jax.Array, x: jax.Array, initial: jax.Array, *, reverse: bool) -> jax.Array:
    steps = x.shape[1]

    def step(number: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        h, out = carry
        t = steps - 1 - number if reverse else number
        h = _row(decay, t, h) * h + _row(x, t, h)
        return h, lax.dynamic_update_index_in_dim(out, h.astype(x.dtype), t, 1)

    # Each step only writes to the output. Where a loop also reads what it writes, XLA may copy the
    # whole array in every step.
    out = manual.varying(lax.empty(x.shape, x.dtype), x)
    return lax.fori_loop(0, steps, step, (initial, out))[1]


def _loop_backward(
    decay: jax.Array, states: jax.Array, initial: jax.Array, out_grad: jax.Array, *, reverse: bool
) -> Gradients:
    last = states.shape[1] - 1
    inside = states.size <= FEW

    def step(number: jax.Array, carry: tuple[jax.Array, list[jax.Array]]) -> Any:
        g, outs = carry
        t = number if reverse else last - number
        # The step after the last has no gradient, so its decay may be that of any step.
        before, after = (t + 1, t - 1) if reverse else (t - 1, t + 1)
        g = _row(decay, jnp.clip(after, 0, last), g) * g + _row(out_grad, t, g)
        rows = [g]
        if inside:
            h = _row(states, jnp.clip(before, 0, last), g)
            rows.append(g * jnp.where((before < 0) | (before > last), initial, h))
        return g, [
            lax.dynamic_update_index_in_dim(out, row.astype(out.dtype), t, 1)
            for out, row in zip(outs, rows, strict=True)
        ]

    outs = [lax.empty(like.shape, like.dtype) for like in (states, decay)]
    outs = manual.varying(outs, states)
    start = jnp.zeros_like(initial), outs if inside else outs[:1]
    g, (dx, *df) = lax.fori_loop(0, last + 1, step, start)
    if not inside:
        shifted = _shifted(states.astype(g.dtype), initial, reverse)
        df = [(dx.astype(g.dtype) * shifted).astype(decay.dtype)]
    first = decay[:, -1 if reverse else 0].astype(g.dtype)
    return df[0], dx, first * g


def _row(array: jax.Array, t: jax.Array, like: jax.Array) -> jax.Array:
    return lax.dynamic_index_in_dim(array, t, 1, keepdims=False).astype(like.dtype)


def _halves(decay: jax.Array, x: jax.Array, initial: jax.Array, *, reverse: bool) -> jax.Array:
    f, add = decay.astype(initial.dtype), x.astype(initial.dtype)
    return _scanned(f, add, initial, reverse).astype(x.dtype)


def _halves_backward(
    decay: jax.Array, states: jax.Array, initial: jax.Array, out_grad: jax.Array, *, reverse: bool
) -> Gradients:
    f, grad = decay.astype(initial.dtype), out_grad.astype(initial.dtype)
    first, last = (-1, 0) if reverse else (0, -1)
    # The step after the last has no gradient, so its decay may be anything finite.
    g = _scanned(_shifted(f, f[:, last], not reverse), grad, jnp.zeros_like(initial), not reverse)
    before = _shifted(states.astype(initial.dtype), initial, reverse)
    return (g * before).astype(decay.dtype), g.astype(states.dtype), f[:, first] * g[:, first]


def _scanned(f: jax.Array, add: jax.Array, initial: jax.Array, reverse: bool) -> jax.Array:
    Map = tuple[jax.Array, jax.Array]

    def join(first: Map, second: Map) -> Map:
        return first[0] * second[0], _times(second[0], first[1]) + second[1]

    product, h = lax.associative_scan(join, (f, add), reverse=reverse, axis=1)
    return h + _times(product, initial[:, None])


def _times(product: jax.Array, h: jax.Array) -> jax.Array:
    """product h, where a product of decays that overflowed leaves a state of zero at zero."""
    return jnp.where((h == 0) & jnp.isinf(product), 0, product * h)


def _shifted(array: jax.Array, edge: jax.Array, reverse: bool) -> jax.Array:
    """Each step's neighbour before it (after it if `reverse`), `edge` at the end without one."""
    if reverse:
        return jnp.concatenate([array[:, 1:], edge[:, None]], 1)
    return jnp.concatenate([edge[:, None], array[:, :-1]], 1)
