"""An op at one shape: what it costs by formula, and how a form of it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.labs.kernels.knobs import OPS, Kernel

if TYPE_CHECKING:
    import jax

    from kernels_pallas.costs import Cost

Function = Callable[..., Any]


@dataclass(frozen=True)
class Work:
    """One call of an op.

    Args:
        op: name in `kernels_pallas`.
        setting: its shape in words.
        cost: from a form's name to the cost of one call in it, by the op's own formulas.
        arithmetic: dtype whose peak rate bounds it.
        draw: makes its arguments, random and on the device.
        call: from a form's name to the function of those arguments, gradients included where
            they are asked for.
        forms: those that are timed here beside each other.
    """

    op: str
    setting: str
    cost: Callable[[str], Cost]
    arithmetic: str
    draw: Callable[[], Sequence[jax.Array]]
    call: Callable[[str], Function]
    forms: Sequence[str] = ("xla",)

    @property
    def name(self) -> str:
        """The op's name on the screen."""
        return OPS[self.op]


def work(knobs: Kernel) -> Work:
    """The work of a form's settings. Loads jax, and computes nothing."""
    return _WORKS[knobs.op](knobs)


def _gated_linear_attention(knobs: Kernel) -> Work:
    from kernels_pallas import gated_linear_attention
    from kernels_pallas.gated_linear_attention import cost

    batch, tokens, heads = knobs.batch, knobs.tokens, knobs.heads
    q_shape = (batch, tokens, heads, knobs.key_width)
    v_shape = (batch, tokens, heads, knobs.value_width)
    gate = {"channel": q_shape, "scalar": q_shape[:3], "none": None}[knobs.gate]

    def draw() -> list[jax.Array]:
        drawn = _normal(knobs.dtype, q_shape, q_shape, v_shape)
        return drawn if gate is None else [*drawn, _log_decay(knobs.strength, gate)]

    def call(form: str) -> Function:
        def run(*arrays: jax.Array) -> jax.Array:
            out, _ = gated_linear_attention(*arrays, intra=knobs.intra, implementation=form)
            return out

        return _passes(run, knobs)

    return Work(
        op=knobs.op,
        setting=f"{batch} × {tokens} tokens, heads: {heads}, states "
        f"{knobs.key_width} × {knobs.value_width}",
        cost=lambda form: _total(
            knobs, cost, q_shape, knobs.value_width, size=_size(knobs), **_chunks(knobs, form)
        ),
        arithmetic=knobs.dtype,
        draw=draw,
        call=call,
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


def _gated_delta_rule(knobs: Kernel) -> Work:
    from kernels_pallas import gated_delta_rule
    from kernels_pallas.gated_delta_rule import cost
    from kernels_pallas.gated_linear_attention.chunks import CHUNK

    batch, tokens, heads = knobs.batch, knobs.tokens, knobs.heads
    q_shape = (batch, tokens, heads, knobs.key_width)
    v_shape = (*q_shape[:3], knobs.value_width)

    def draw() -> list[jax.Array]:
        import jax
        import jax.numpy as jnp

        q, k, v = _normal(knobs.dtype, q_shape, q_shape, v_shape)
        k = k / jnp.linalg.norm(k, axis=-1, keepdims=True)
        beta = jax.random.uniform(jax.random.key(1), q_shape[:3])
        return [q, k, v, beta, _log_decay(knobs.strength, q_shape[:3])]

    def call(form: str) -> Function:
        return _passes(lambda *arrays: gated_delta_rule(*arrays, implementation=form)[0], knobs)

    def counted(form: str) -> Cost:
        how = {"chunk": 64, "form": form} if form.startswith("mosaic") else {"chunk": CHUNK}
        return _total(knobs, cost, q_shape, knobs.value_width, size=_size(knobs), **how)

    return Work(
        op=knobs.op,
        setting=f"{batch} × {tokens} tokens, heads: {heads}, states "
        f"{knobs.key_width} × {knobs.value_width}",
        cost=counted,
        arithmetic=knobs.dtype,
        draw=draw,
        call=call,
    )


def _gated_recurrence(knobs: Kernel) -> Work:
    from kernels_pallas import gated_recurrence
    from kernels_pallas.gated_recurrence import cost

    shape = (knobs.batch, knobs.tokens, knobs.width)

    def draw() -> list[jax.Array]:
        import jax.numpy as jnp

        decay = jnp.exp(_log_decay(knobs.strength, shape)).astype(knobs.dtype)
        return [decay, *_normal(knobs.dtype, shape)]

    def call(form: str) -> Function:
        return _passes(lambda f, x: gated_recurrence(f, x, implementation=form), knobs)

    size = _size(knobs)
    return Work(
        op=knobs.op,
        setting=f"{knobs.batch} × {knobs.tokens} tokens, {knobs.width} channels",
        cost=lambda form: _total(knobs, cost, shape, decay_size=size, size=size),
        arithmetic="float32",
        draw=draw,
        call=call,
    )


def _ternary_matmul(knobs: Kernel) -> Work:
    from kernels_pallas import pack_ternary, ternary_matmul
    from kernels_pallas.ternary import cost

    def draw() -> list[Any]:
        import jax
        import jax.numpy as jnp

        keys = jax.random.split(jax.random.key(0), 2)
        x = jax.random.randint(keys[0], (knobs.rows, knobs.inputs), -127, 128, jnp.int8)
        w = jax.random.randint(keys[1], (knobs.inputs, knobs.outputs), -1, 2, jnp.int8)
        return [x, jnp.full((knobs.rows, 1), 1 / 127, jnp.float32), pack_ternary(w)]

    def call(form: str) -> Function:
        return lambda x, scale, packed: ternary_matmul(x, scale, packed, implementation=form)

    return Work(
        op=knobs.op,
        setting=f"{knobs.rows} × {knobs.inputs} by {knobs.inputs} × {knobs.outputs}",
        cost=lambda form: cost.ternary_matmul(knobs.rows, knobs.inputs, knobs.outputs),
        arithmetic="int8",
        draw=draw,
        call=call,
    )


def _attention(knobs: Kernel) -> Work:
    from kernels_pallas import attention
    from kernels_pallas.attention import cost

    q_shape = (knobs.batch, knobs.tokens, knobs.heads, knobs.key_width)
    v_shape = (*q_shape[:3], knobs.value_width)

    def call(form: str) -> Function:
        return _passes(
            lambda q, k, v: attention(q, k, v, causal=knobs.causal, implementation=form), knobs
        )

    def counted(backward: bool) -> Cost:
        return cost.cost(
            q_shape, q_shape, v_shape,
            itemsize=_size(knobs), causal=knobs.causal, backward=backward,
        )  # fmt: skip

    forward, back = counted(False), counted(True)
    return Work(
        op=knobs.op,
        setting=f"{knobs.batch} × {knobs.tokens} tokens, {knobs.heads} heads of {knobs.key_width}",
        cost=lambda form: forward if knobs.direction == "forward" else _sum(forward, back),
        arithmetic=knobs.dtype,
        draw=lambda: _normal(knobs.dtype, q_shape, q_shape, v_shape),
        call=call,
    )


_WORKS: dict[str, Callable[[Kernel], Work]] = {
    "gated_linear_attention": _gated_linear_attention,
    "gated_recurrence": _gated_recurrence,
    "ternary_matmul": _ternary_matmul,
    "attention": _attention,
    "gated_delta_rule": _gated_delta_rule,
}


def _passes(run: Function, knobs: Kernel) -> Function:
    """The function itself, or with the gradients of its arguments (its value as cotangent)."""
    if knobs.direction == "forward":
        return run

    def both(*arrays: jax.Array) -> Any:
        import jax

        out, back = jax.vjp(run, *arrays)
        return back(out)

    return both


def _total(knobs: Kernel, formulas: Any, *shapes: Any, **sizes: Any) -> Cost:
    forward: Cost = formulas.forward(*shapes, **sizes)
    if knobs.direction == "forward":
        return forward
    return _sum(forward, formulas.backward(*shapes, **sizes))


def _sum(one: Cost, two: Cost) -> Cost:
    return type(one)(*(a + b for a, b in zip(one, two, strict=True)))


def _size(knobs: Kernel) -> int:
    return {"bfloat16": 2, "float32": 4}[knobs.dtype]


def _normal(dtype: str, *shapes: Sequence[int]) -> list[jax.Array]:
    import jax

    keys = jax.random.split(jax.random.key(0), len(shapes))
    drawn = zip(keys, shapes, strict=True)
    return [jax.random.normal(key, shape).astype(dtype) for key, shape in drawn]


def _log_decay(strength: float, shape: Sequence[int]) -> jax.Array:
    import jax

    return -strength * jax.random.exponential(jax.random.key(7), shape)
