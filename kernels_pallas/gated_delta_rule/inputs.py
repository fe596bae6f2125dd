"""What the arguments of the op and of its decoding step must be."""

from __future__ import annotations

from typing import Any

from kernels_pallas import checks
from kernels_pallas.gated_linear_attention import inputs

OP_NAME = "gated_delta_rule"
CHUNK_SIZES = inputs.CHUNK_SIZES


def check(
    op: str,
    q: Any,
    k: Any,
    v: Any,
    beta: Any,
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
        q, k, v, beta, log_decay, state: arrays as the public functions take them.
        time: whether all but the state have an axis of time.
        state_name: how the caller names `state`.
        validate: whether values are tested when traced or large, too.

    Raises:
        TypeError, ValueError: naming the argument, what came and what is needed.
    """
    sizes = inputs.check(
        op, q, k, v, None, state, time=time, state_name=state_name, validate=validate
    )
    pattern = ["B T H" if time else "B H"]
    inputs.check_heads(op, "beta", beta, sizes, pattern)
    message = "beta has values outside 0 to 2, or NaN; there the state would grow"
    checks.values(op, message, beta, lambda one: (one >= 0) & (one <= 2), validate)
    if log_decay is not None:
        inputs.check_heads(op, "log_decay", log_decay, sizes, pattern)
        inputs.check_decays(op, log_decay, validate)
    return sizes
