"""The gated recurrence in float64, and how far a form is from it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from kernels_pallas import gated_recurrence
from kernels_pallas.gated_recurrence import reference

NAMES = ("decay", "x", "initial")
LIMITS = {"float32": 1e-5, "bfloat16": 1e-2, "float64": 1e-12}
STRENGTHS = {
    "mild": lambda numbers, shape: 1 / (1 + np.exp(-numbers.normal(4, 1, shape))),
    "strong": lambda numbers, shape: 1 / (1 + np.exp(-numbers.normal(0, 8, shape))),
    "closed": lambda numbers, shape: np.zeros(shape),
    "open": lambda numbers, shape: np.ones(shape),
    "any sign": lambda numbers, shape: numbers.uniform(-1.05, 1.05, shape),
}


def inputs(shape, dtype="float32", strength="mild", seed=0, gate_dtype=None):
    """decay, x, initial and a gradient of the states."""
    numbers = np.random.default_rng(seed)
    features = (shape[0], *shape[2:])
    decay = jnp.asarray(STRENGTHS[strength](numbers, shape), gate_dtype or dtype)
    x, out_grad = (jnp.asarray(numbers.standard_normal(shape), dtype) for _ in range(2))
    return decay, x, jnp.asarray(numbers.standard_normal(features), "float32"), out_grad


def by_hand(decay, x, initial, reverse=False):
    """A loop of numpy in float64: shares no code with the package."""
    decay, x, h = (np.asarray(one, np.float64) for one in (decay, x, initial))
    out = np.zeros_like(x)
    steps = range(x.shape[1])
    for t in reversed(steps) if reverse else steps:
        h = decay[:, t] * h + x[:, t]
        out[:, t] = h
    return out


def errors(arrays, reverse=False, **options):
    """Largest error over the largest value: of the states and of each gradient.

    Args:
        arrays: as from `inputs`.
        reverse: as for the op.
        options: of the op.
    """
    decay, x, initial, out_grad = arrays

    def run(decay, x, initial):
        return gated_recurrence(decay, x, initial=initial, reverse=reverse, **options)

    found = all_of(run, decay, x, initial, out_grad)
    states = found[0]
    assert states.shape == x.shape and states.dtype == x.dtype
    assert [one.dtype for one in found[1:]] == [decay.dtype, x.dtype, initial.dtype]
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(one, np.float64)) for one in arrays]
        flat = [one.reshape(*one.shape[:2], -1) for one in (wide[0], wide[1], wide[3])]
        start = wide[2].reshape(wide[2].shape[0], -1)
        run = partial(reference.gated_recurrence, reverse=reverse)
        wanted = all_of(run, flat[0], flat[1], start, flat[2])
    return {
        name: relative(one, np.asarray(want).reshape(one.shape))
        for name, one, want in zip(("states", *NAMES), found, wanted, strict=True)
    }


def all_of(run, decay, x, initial, out_grad):
    """States and the gradient of each argument, in one program."""

    def both(decay, x, initial, out_grad):
        states, pull = jax.vjp(run, decay, x, initial)
        return states, *pull(out_grad)

    return jax.jit(both)(decay, x, initial, out_grad)


def relative(found, wanted):
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    return float(np.max(np.abs(found - wanted)) / max(np.max(np.abs(wanted)), 1e-30))


def limits(arrays):
    """The contract's limit for each, by the dtype it is in."""
    decay, x = arrays[:2]
    worst = {True: 1e-2, False: 1e-5}[jnp.bfloat16 in (decay.dtype, x.dtype)]
    return {"states": LIMITS[x.dtype.name], **dict.fromkeys(NAMES, worst)}


def assert_close(arrays, **options):
    found, allowed = errors(arrays, **options), limits(arrays)
    assert all(found[name] <= allowed[name] for name in found), found
