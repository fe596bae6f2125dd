"""Products with matrices whose weights are ternary or in blocks, and the norm before them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from workbench.labs.kernels.knobs import Kernel
from workbench.labs.kernels.passes import Function, added, itemsize, normal, passes
from workbench.labs.kernels.work import Work

if TYPE_CHECKING:
    from kernels_pallas import BlockPattern
    from kernels_pallas.costs import Cost


def ternary_matmul(knobs: Kernel) -> Work:
    """A product with ternary weights at two bits each."""
    from kernels_pallas import pack_ternary
    from kernels_pallas import ternary_matmul as op
    from kernels_pallas.ternary import OP, cost

    def draw() -> list[Any]:
        import jax
        import jax.numpy as jnp

        keys = jax.random.split(jax.random.key(0), 2)
        x = jax.random.randint(keys[0], (knobs.rows, knobs.inputs), -127, 128, jnp.int8)
        w = jax.random.randint(keys[1], (knobs.inputs, knobs.outputs), -1, 2, jnp.int8)
        return [x, jnp.full((knobs.rows, 1), 1 / 127, jnp.float32), pack_ternary(w)]

    def call(form: str) -> Function:
        return lambda x, scale, packed: op(x, scale, packed, implementation=form)

    return Work(
        op=knobs.op,
        setting=f"{knobs.rows} × {knobs.inputs} by {knobs.inputs} × {knobs.outputs}",
        cost=lambda form: cost.ternary_matmul(knobs.rows, knobs.inputs, knobs.outputs),
        arithmetic="int8",
        draw=draw,
        call=call,
        dispatched=OP,
    )


def rms_norm_quantize(knobs: Kernel) -> Work:
    """A norm with its rows rounded to int8."""
    from kernels_pallas import rms_norm_quantize as op
    from kernels_pallas.ternary import NORM, cost

    shape = (knobs.rows, knobs.inputs)

    def call(form: str) -> Function:
        return lambda x, gain: op(x, gain, implementation=form)

    return Work(
        op=knobs.op,
        setting=f"{knobs.rows} rows of {knobs.inputs}",
        cost=lambda form: cost.rms_norm_quantize(*shape, itemsize(knobs)),
        arithmetic="float32",
        draw=lambda: normal(knobs.dtype, shape, shape[1:]),
        call=call,
        dispatched=NORM,
    )


def bit_linear(knobs: Kernel) -> Work:
    """A ternary layer as it is trained: the products of its backward pass are not in int8."""
    from kernels_pallas import bit_linear as op
    from kernels_pallas.ternary import LINEAR, cost

    sizes = (knobs.rows, knobs.inputs, knobs.outputs)
    one = functools.partial(cost.bit_linear, *sizes, itemsize=itemsize(knobs))

    def call(form: str) -> Function:
        return passes(lambda *arrays: op(*arrays, implementation=form), knobs)

    forward = knobs.direction == "forward"
    return Work(
        op=knobs.op,
        setting=f"{sizes[0]} × {sizes[1]} by {sizes[1]} × {sizes[2]}",
        cost=lambda form: one() if forward else added(one(), one(backward=True)),
        arithmetic="int8" if forward else knobs.dtype,
        draw=lambda: normal(knobs.dtype, sizes[:2], sizes[1:], sizes[1:2]),
        call=call,
        dispatched=LINEAR,
    )


def block_sparse_matmul(knobs: Kernel) -> Work:
    """A product with the kept blocks of a matrix; which are kept is drawn at random."""
    from kernels_pallas import block_sparse_matmul as op
    from kernels_pallas.block_sparse_matmul import OP, cost

    pattern = kept(knobs.inputs, knobs.outputs, knobs.block, knobs.density)

    def counted(form: str) -> Cost:
        size = itemsize(knobs)
        if form == "dense" and knobs.direction == "forward":
            return cost.dense(knobs.rows, pattern, itemsize=size)
        forward = cost.cost(knobs.rows, pattern, itemsize=size)
        if knobs.direction == "forward":
            return forward
        return added(forward, cost.cost(knobs.rows, pattern, itemsize=size, backward=True))

    def call(form: str) -> Function:
        return passes(lambda x, blocks: op(x, blocks, pattern, implementation=form), knobs)

    blocks = (len(pattern.kept), *pattern.block)
    return Work(
        op=knobs.op,
        setting=f"{knobs.rows} × {knobs.inputs} by {knobs.inputs} × {knobs.outputs}, "
        f"{len(pattern.kept)} blocks of {knobs.block} kept",
        cost=counted,
        arithmetic=knobs.dtype,
        draw=lambda: normal(knobs.dtype, (knobs.rows, knobs.inputs), blocks),
        call=call,
        dispatched=OP,
    )


@functools.cache
def kept(rows: int, columns: int, block: int, density: float) -> BlockPattern:
    """A pattern with this share of a matrix's blocks, at least one, drawn at random."""
    import numpy as np

    from kernels_pallas import BlockPattern

    high, wide = -(-rows // block), -(-columns // block)
    count = max(1, round(density * high * wide))
    drawn = np.random.default_rng(0).permutation(high * wide)[:count]
    places = sorted((int(at) // high, int(at) % high) for at in drawn)
    return BlockPattern(
        rows, columns, tuple((row, column) for column, row in places), (block, block)
    )
