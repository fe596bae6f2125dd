"""Inputs for tests of the gated delta rule, and what must come out, in float64."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels_pallas import gated_delta_rule
from tests.kernels_pallas.gla_oracle import error, log_gates

STRENGTHS = ("none", "zero", "mild", "strong", "nothing left", "resets")
"""No gates, all exactly 0, those of mild layers, sums below -200 in a chunk, ..., some -inf."""

BETAS = ("sigmoid", "ends", "two")
"""As layers have it, all of 0 or 1, up to 2 (where eigenvalues of a step reach -1)."""

NAMES = ("q", "k", "v", "beta", "log_decay", "initial_state")


class Inputs(NamedTuple):
    """Arguments of one call and the gradients that flow into it; NumPy arrays."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    beta: np.ndarray
    log_decay: np.ndarray | None
    initial_state: np.ndarray
    segment_ids: np.ndarray | None
    d_out: np.ndarray
    d_final: np.ndarray


def draw(
    batch=2, time=70, heads=2, key=16, value=24, *,
    strength="mild", beta="sigmoid", segments=False, dtype=jnp.float32, groups=None, seed=0,
) -> Inputs:  # fmt: skip
    """Random inputs with keys of length 1, whose values `dtype` holds exactly."""
    rng = np.random.default_rng(seed)
    groups = groups or heads
    ids = np.sort(rng.integers(0, 4, (batch, time)), axis=1) if segments else None
    tokens = (batch, time, heads)

    def normal(*shape, dtype=dtype, unit=False):
        found = rng.standard_normal(shape, np.float32)
        found = found / np.linalg.norm(found, axis=-1, keepdims=True) if unit else found
        return np.asarray(jnp.asarray(found, dtype))

    return Inputs(
        normal(*tokens, key),
        normal(batch, time, groups, key, unit=True),
        normal(batch, time, groups, value),
        strengths(rng, tokens, beta),
        gates(rng, tokens, strength),
        normal(batch, heads, key, value, dtype=jnp.float32),
        None if ids is None else ids.astype(np.int32),
        normal(*tokens, value),
        normal(batch, heads, key, value, dtype=jnp.float32),
    )


def gates(rng, shape, strength: str) -> np.ndarray | None:
    """Log decays of one of `STRENGTHS`."""
    if strength == "none":
        return None
    if strength == "zero":
        return np.zeros(shape, np.float32)
    return log_gates(rng, shape, strength)


def strengths(rng, shape, beta: str) -> np.ndarray:
    """How strongly tokens write, of one of `BETAS`."""
    found = rng.uniform(0, 2 if beta == "two" else 1, shape)
    found[:, ::5] = 2 if beta == "two" else found[:, ::5]
    return (np.round(found) if beta == "ends" else found).astype(np.float32)


def recurrence(given: Inputs, scale=None) -> tuple[np.ndarray, np.ndarray]:
    """The definition in NumPy, float64, one token at a time."""
    q, k, v, beta = (np.asarray(a, np.float64) for a in given[:4])
    share = q.shape[2] // k.shape[2]
    k, v = k.repeat(share, axis=2), v.repeat(share, axis=2)
    state = np.asarray(given.initial_state, np.float64).copy()
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    decay = np.ones(q.shape[:3])
    if given.log_decay is not None:
        decay = np.exp(np.float64(given.log_decay))
    out = np.empty((*q.shape[:3], v.shape[-1]))
    for t in range(q.shape[1]):
        if given.segment_ids is not None and t:
            state[given.segment_ids[:, t] != given.segment_ids[:, t - 1]] = 0
        state = decay[:, t, :, None, None] * state
        change = v[:, t] - np.einsum("bhk,bhkv->bhv", k[:, t], state)
        change = beta[:, t, :, None] * change
        state = state + k[:, t, :, :, None] * change[:, :, None]
        out[:, t] = scale * np.einsum("bhk,bhkv->bhv", q[:, t], state)
    return out, state


def both_ways(arrays, segment_ids, d_out, d_final, *, implementation="xla"):
    """Out, the final state, and the gradient of each of `NAMES`."""
    return _both_ways(implementation, arrays, segment_ids, d_out, d_final)


@functools.partial(jax.jit, static_argnums=0)
def _both_ways(implementation, arrays, segment_ids, d_out, d_final):
    def call(q, k, v, beta, log_decay, state):
        return gated_delta_rule(
            q, k, v, beta, log_decay, initial_state=state, segment_ids=segment_ids,
            implementation=implementation,
        )  # fmt: skip

    (out, final), pull = jax.vjp(call, *arrays)
    return out, final, pull((d_out, d_final))


def here(given: Inputs, dtype=None) -> tuple:
    """Arguments of `both_ways` as arrays of jax."""

    def array(a, to):
        return None if a is None else jnp.asarray(a if to is None else np.asarray(a, to))

    ids = None if given.segment_ids is None else jnp.asarray(given.segment_ids)
    arrays = tuple(array(a, dtype) for a in given[:6])
    return arrays, ids, array(given.d_out, dtype), array(given.d_final, dtype)


def errors(given: Inputs, found) -> dict[str, float]:
    """max|x - ref| / max|ref| of the outputs and of each gradient, against float64."""
    with jax.enable_x64(True):
        wanted = both_ways(*here(given, np.float64), implementation="reference")
        wanted = jax.tree.map(np.asarray, wanted)
    names = ("out", "final", *NAMES)
    pairs = zip(names, (*found[:2], *found[2]), (*wanted[:2], *wanted[2]), strict=True)
    return {name: error(x, ref) for name, x, ref in pairs if ref is not None}
