"""Inputs for tests of gated linear attention, and what must come out, in float64."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels_pallas import gated_linear_attention

KINDS = {"channel": "bthk", "scalar": "bth", "head": "h", "none": ""}
"""Axes of log_decay."""

STRENGTHS = ("mild", "middling", "strong", "stronger", "nothing left", "resets")
"""From GLA's own (tau = 16) through sums below -200 in a chunk to gates that forget everything."""

NAMES = ("q", "k", "v", "log_decay", "initial_state")


class Inputs(NamedTuple):
    """Arguments of one call and the gradients that flow into it; NumPy arrays."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    log_decay: np.ndarray | None
    initial_state: np.ndarray
    segment_ids: np.ndarray | None
    d_out: np.ndarray
    d_final: np.ndarray


def draw(
    batch=2, time=70, heads=2, key=16, value=24, *,
    kind="channel", strength="mild", segments=False, dtype=jnp.float32, groups=None, seed=0,
) -> Inputs:  # fmt: skip
    """Random inputs whose values `dtype` holds exactly; gates and states are float32."""
    rng = np.random.default_rng(seed)
    groups = groups or heads
    sizes = {"b": batch, "t": time, "h": heads, "k": key}
    shape = [sizes[axis] for axis in KINDS[kind]]
    gates = log_gates(rng, shape, strength, kind) if kind != "none" else None
    ids = np.sort(rng.integers(0, 4, (batch, time)), axis=1) if segments else None

    def normal(*shape, dtype=dtype):
        return np.asarray(jnp.asarray(rng.standard_normal(shape, np.float32), dtype))

    return Inputs(
        normal(batch, time, heads, key),
        normal(batch, time, groups, key),
        normal(batch, time, groups, value),
        gates,
        normal(batch, heads, key, value, dtype=jnp.float32),
        None if ids is None else ids.astype(np.int32),
        normal(batch, time, heads, value),
        normal(batch, heads, key, value, dtype=jnp.float32),
    )


def log_gates(rng, shape, strength: str, kind: str = "channel") -> np.ndarray:
    """Log gates as a sigmoid makes them, of one of `STRENGTHS`."""
    bias, tau = {
        "mild": (0, 16), "middling": (0, 1), "strong": (-3, 1), "stronger": (-6, 1),
        "nothing left": (-50, 1), "resets": (0, 16),
    }[strength]  # fmt: skip
    gates = -np.logaddexp(0, -(rng.standard_normal(shape) + bias)) / tau
    if strength == "resets" and kind != "head":
        gates[:, ::7] = -60
        gates[:, ::23] = -np.inf
    return gates.astype(np.float32)


def recurrence(given: Inputs, scale=None) -> tuple[np.ndarray, np.ndarray]:
    """The definition in NumPy, float64, one token at a time."""
    q, k, v = (np.asarray(a, np.float64) for a in given[:3])
    share = q.shape[2] // k.shape[2]
    k, v = k.repeat(share, axis=2), v.repeat(share, axis=2)
    state = np.asarray(given.initial_state, np.float64).copy()
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    gates = np.zeros(q.shape) if given.log_decay is None else np.float64(given.log_decay)
    if gates.ndim == 1:
        gates = gates[None, None, :, None]
    gates = gates if gates.ndim == 4 else gates[..., None]
    decay = np.broadcast_to(np.exp(gates), q.shape)
    out = np.empty((*q.shape[:3], v.shape[-1]))
    for t in range(q.shape[1]):
        if given.segment_ids is not None and t:
            state[given.segment_ids[:, t] != given.segment_ids[:, t - 1]] = 0
        state = decay[:, t, :, :, None] * state + k[:, t, :, :, None] * v[:, t, :, None]
        out[:, t] = scale * np.einsum("bhk,bhkv->bhv", q[:, t], state)
    return out, state


def both_ways(arrays, segment_ids, d_out, d_final, *, implementation="xla", intra="auto"):
    """Out, the final state, and the gradient of each of q, k, v, log_decay, initial_state."""
    return _both_ways(implementation, intra, arrays, segment_ids, d_out, d_final)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _both_ways(implementation, intra, arrays, segment_ids, d_out, d_final):
    def call(q, k, v, log_decay, state):
        return gated_linear_attention(
            q, k, v, log_decay, initial_state=state, segment_ids=segment_ids,
            implementation=implementation, intra=intra,
        )  # fmt: skip

    (out, final), pull = jax.vjp(call, *arrays)
    return out, final, pull((d_out, d_final))


def here(given: Inputs, dtype=None) -> tuple:
    """Arguments of `both_ways` as arrays of jax."""

    def array(a, to):
        return None if a is None else jnp.asarray(a if to is None else np.asarray(a, to))

    ids = None if given.segment_ids is None else jnp.asarray(given.segment_ids)
    arrays = tuple(array(a, dtype) for a in given[:5])
    return arrays, ids, array(given.d_out, dtype), array(given.d_final, dtype)


def errors(given: Inputs, found) -> dict[str, float]:
    """max|x - ref| / max|ref| of the outputs and of each gradient, against float64."""
    with jax.enable_x64(True):
        wanted = both_ways(*here(given, np.float64), implementation="reference")
        wanted = jax.tree.map(np.asarray, wanted)
    names = ("out", "final", *NAMES)
    pairs = zip(names, (*found[:2], *found[2]), (*wanted[:2], *wanted[2]), strict=True)
    return {name: error(x, ref) for name, x, ref in pairs if ref is not None}


def error(found, wanted) -> float:
    """max|found - wanted| / max|wanted|; 0 where both are zero, NaN where either holds one."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert found.shape == wanted.shape
    largest = np.abs(wanted).max()
    return float(np.abs(found - wanted).max() / (largest or 1.0))
