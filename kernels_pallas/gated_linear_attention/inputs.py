"""What the arguments of the op and of its decoding step must be."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas import checks
from kernels_pallas.dtypes import accumulator

OP_NAME = "gated_linear_attention"
CHUNK_SIZES = (16, 32, 64, 128)
INTRA = ("auto", "one_level", "two_level")


def check(
    op: str,
    q: Any,
    k: Any,
    v: Any,
    log_decay: Any,
    state: Any,
    *,
    time: bool,
    state_name: str,
    validate: bool,
) -> dict[str, int]:
    """Checks every array of a call and returns the sizes of B, T, H, G, K and V.

    Args:
        op: name for the errors.
        q, k, v, log_decay, state: arrays as the public functions take them.
        time: whether q, k, v and log_decay have an axis of time.
        state_name: how the caller names `state`.
        validate: whether the values of `log_decay` are tested when traced or large, too.

    Raises:
        TypeError, ValueError: naming the argument, what came and what is needed.
    """
    step = "B T " if time else "B "
    checks.floating(op, q=q, k=k, v=v)
    checks.alike(op, q=q, k=k, v=v)
    sizes = checks.shapes(op, q=(q, step + "H K"), k=(k, step + "G K"), v=(v, step + "G V"))
    checks.divides(op, "query heads (q)", sizes["H"], "heads of k and v", sizes["G"])
    if state is not None or not time:
        checks.arrays(op, **{state_name: state})
        wanted = accumulator(q.dtype)
        if state.dtype != wanted:
            raise TypeError(f"{op}: {state_name} has dtype {state.dtype}; needed {wanted}")
        checks.shapes(op, sizes, **{state_name: (state, "B H K V")})
    if log_decay is not None:
        check_heads(op, "log_decay", log_decay, sizes, [step + "H K", step + "H", "H"])
        check_decays(op, log_decay, validate)
    return sizes


def check_heads(op: str, name: str, array: Any, sizes: dict[str, int], patterns: list[str]) -> None:
    """Checks that an array has one of the shapes `patterns`, with the heads of q or of k as H.

    Raises:
        TypeError, ValueError: naming the argument, what came and what is needed.
    """
    checks.floating(op, **{name: array})
    fitting = [one for one in patterns if len(one.split()) == array.ndim]
    if not fitting:
        allowed = " or ".join(f"[{', '.join(one.split())}]" for one in patterns)
        raise ValueError(
            f"{op}: {name} has shape {array.shape}; needed {allowed}, H as of q or of k"
        )
    # A head of k and v may bring its own, shared like k and v by its query heads.
    grouped = dict(sizes, H=sizes["G"])
    axis = array.ndim - 1 if fitting[0].endswith("H") else array.ndim - 2
    shared = array.shape[axis] == sizes["G"]
    checks.shapes(op, grouped if shared else sizes, **{name: (array, fitting[0])})


def check_decays(op: str, log_decay: jax.Array, validate: bool) -> None:
    """Checks that gates forget, where their values are known or `validate` asks for it.

    Raises:
        ValueError: gates above zero, or NaN.
    """
    message = "log_decay has positive or NaN values; needed log(decay) <= 0"
    checks.values(op, message, log_decay, lambda gate: gate <= 0, validate)


def repeat_heads(array: jax.Array, heads: int, axis: int) -> jax.Array:
    """Each head repeated for the query heads that share it."""
    here = array.shape[axis]
    return array if here == heads else jnp.repeat(array, heads // here, axis=axis)


def segments(segment_ids: Any, sizes: dict[str, int], op: str = OP_NAME) -> jax.Array:
    """The number of each token's segment, 0, 1, ...: an id that comes back is a new segment.

    Raises:
        TypeError, ValueError: where `segment_ids` are not whole numbers [B, T].
    """
    checks.arrays(op, segment_ids=segment_ids)
    if not jnp.issubdtype(segment_ids.dtype, jnp.integer):
        raise TypeError(f"{op}: segment_ids has dtype {segment_ids.dtype}; needed whole numbers")
    checks.shapes(op, sizes, segment_ids=(segment_ids, "B T"))
    changes = segment_ids[:, 1:] != segment_ids[:, :-1]
    return jnp.cumsum(jnp.pad(changes, ((0, 0), (1, 0))), axis=1, dtype=jnp.int32)
