"""Ops on sequences of tokens: attention, and states that decay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.labs.kernels.knobs import Kernel
from workbench.labs.kernels.passes import (
    Function,
    added,
    itemsize,
    log_decay,
    normal,
    passes,
    total,
)
from workbench.labs.kernels.work import Work

if TYPE_CHECKING:
    import jax

    from kernels_pallas.costs import Cost


def gated_linear_attention(knobs: Kernel) -> Work:
    """S ← diag(eᵍ) S + k vᵀ, o = Sᵀ q, by chunks."""
    from kernels_pallas import gated_linear_attention as op
    from kernels_pallas.gated_linear_attention import OP, cost

    batch, tokens, heads = knobs.batch, knobs.tokens, knobs.heads
    q_shape = (batch, tokens, heads, knobs.key_width)
    v_shape = (batch, tokens, heads, knobs.value_width)
    gate = {"channel": q_shape, "scalar": q_shape[:3], "none": None}[knobs.gate]

    def draw() -> list[jax.Array]:
        drawn = normal(knobs.dtype, q_shape, q_shape, v_shape)
        return drawn if gate is None else [*drawn, log_decay(knobs.strength, gate)]

    def call(form: str) -> Function:
        def run(*arrays: jax.Array) -> jax.Array:
            out, _ = op(*arrays, intra=knobs.intra, implementation=form)
            return out

        return passes(run, knobs)

    return Work(
        op=knobs.op,
        setting=f"{batch} × {tokens} tokens, heads: {heads}, states "
        f"{knobs.key_width} × {knobs.value_width}",
        cost=lambda form: total(
            knobs, cost, q_shape, knobs.value_width, size=itemsize(knobs), **_chunks(knobs, form)
        ),
        arithmetic=knobs.dtype,
        draw=draw,
        call=call,
        dispatched=OP,
    )


def _chunks(knobs: Kernel, form: str) -> dict[str, Any]:
    """Scheme and tokens of a chunk, by which the op's cost goes: kernels have one scheme for every
    gate; XLA takes the cheapest that is exact, or the one asked for."""
    from kernels_pallas.gated_linear_attention.chunks import CHUNK

    kernel = form.startswith("mosaic")
    if knobs.gate != "channel":
        scheme = {"scalar": "masked", "none": "none"}[knobs.gate]
    elif kernel:
        scheme = "levels"
    elif knobs.intra == "auto":
        scheme = "one_level" if CHUNK * knobs.strength < 80 else "exact"
    else:
        scheme = knobs.intra
    return {"scheme": scheme, "chunk": 64 if kernel else CHUNK}


def gated_delta_rule(knobs: Kernel) -> Work:
    """S ← eᵍ (I − β k kᵀ) S + β k vᵀ, o = Sᵀ q, by chunks."""
    from kernels_pallas import gated_delta_rule as op
    from kernels_pallas.gated_delta_rule import OP, cost
    from kernels_pallas.gated_linear_attention.chunks import CHUNK

    batch, tokens, heads = knobs.batch, knobs.tokens, knobs.heads
    q_shape = (batch, tokens, heads, knobs.key_width)
    v_shape = (*q_shape[:3], knobs.value_width)

    def draw() -> list[jax.Array]:
        import jax
        import jax.numpy as jnp

        q, k, v = normal(knobs.dtype, q_shape, q_shape, v_shape)
        k = k / jnp.linalg.norm(k, axis=-1, keepdims=True)
        beta = jax.random.uniform(jax.random.key(1), q_shape[:3])
        return [q, k, v, beta, log_decay(knobs.strength, q_shape[:3])]

    def call(form: str) -> Function:
        return passes(lambda *arrays: op(*arrays, implementation=form)[0], knobs)

    def counted(form: str) -> Cost:
        how = {"chunk": 64, "form": form} if form.startswith("mosaic") else {"chunk": CHUNK}
        return total(knobs, cost, q_shape, knobs.value_width, size=itemsize(knobs), **how)

    return Work(
        op=knobs.op,
        setting=f"{batch} × {tokens} tokens, heads: {heads}, states "
        f"{knobs.key_width} × {knobs.value_width}",
        cost=counted,
        arithmetic=knobs.dtype,
        draw=draw,
        call=call,
        dispatched=OP,
    )


def gated_recurrence(knobs: Kernel) -> Work:
    """h ← f h + x, elementwise."""
    from kernels_pallas import gated_recurrence as op
    from kernels_pallas.gated_recurrence import OP, cost

    shape = (knobs.batch, knobs.tokens, knobs.width)

    def draw() -> list[jax.Array]:
        import jax.numpy as jnp

        decay = jnp.exp(log_decay(knobs.strength, shape)).astype(knobs.dtype)
        return [decay, *normal(knobs.dtype, shape)]

    def call(form: str) -> Function:
        return passes(lambda f, x: op(f, x, implementation=form), knobs)

    size = itemsize(knobs)
    return Work(
        op=knobs.op,
        setting=f"{knobs.batch} × {knobs.tokens} tokens, {knobs.width} channels",
        cost=lambda form: total(knobs, cost, shape, decay_size=size, size=size),
        arithmetic="float32",
        draw=draw,
        call=call,
        dispatched=OP,
    )


def attention(knobs: Kernel) -> Work:
    """Softmax attention, causal or not."""
    from kernels_pallas import attention as op
    from kernels_pallas.attention import OP, cost

    q_shape = (knobs.batch, knobs.tokens, knobs.heads, knobs.key_width)
    v_shape = (*q_shape[:3], knobs.value_width)

    def call(form: str) -> Function:
        return passes(lambda q, k, v: op(q, k, v, causal=knobs.causal, implementation=form), knobs)

    def counted(backward: bool) -> Cost:
        return cost.cost(
            q_shape, q_shape, v_shape,
            itemsize=itemsize(knobs), causal=knobs.causal, backward=backward,
        )  # fmt: skip

    forward, back = counted(False), counted(True)
    return Work(
        op=knobs.op,
        setting=f"{knobs.batch} × {knobs.tokens} tokens, {knobs.heads} heads of {knobs.key_width}",
        cost=lambda form: forward if knobs.direction == "forward" else added(forward, back),
        arithmetic=knobs.dtype,
        draw=lambda: normal(knobs.dtype, q_shape, q_shape, v_shape),
        call=call,
        dispatched=OP,
    )
