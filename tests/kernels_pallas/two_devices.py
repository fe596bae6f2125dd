"""Every op inside `shard_map` on two CPU devices, beside itself on one: run as a module.

Pictures, sequences and rows are shared out; weights are on both devices, and get the gradient of
the whole batch.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

import kernels_pallas as kp
from kernels_pallas.conv2d import OP as CONV2D
from kernels_pallas.grouped_conv2d import OP as GROUPED_CONV2D

numbers = np.random.default_rng(0)


class Case(NamedTuple):
    """An op, arrays that are shared out along their first axis, and arrays on all devices."""

    name: str
    op: Callable[..., Any]
    apart: tuple[Any, ...]
    shared: tuple[Any, ...] = ()
    gradient: bool = True


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(numbers.normal(size=shape), jnp.float32)


def gates(*shape: int) -> jax.Array:
    return -jnp.abs(normal(*shape))


def cases() -> Iterator[Case]:
    q, k, v = (normal(2, 40, 2, 16) for _ in range(3))
    unit = k / jnp.linalg.norm(k, axis=-1, keepdims=True)
    segments = jnp.asarray(numbers.integers(0, 3, (2, 40)).cumsum(1))
    for form in ("auto", "reference"):
        attend = functools.partial(kp.attention, causal=True, implementation=form)
        yield Case(f"attention {form}", attend, (q, k, v))
        gla = functools.partial(kp.gated_linear_attention, implementation=form)
        yield Case(f"gated_linear_attention {form}", gla, (q, k, v, gates(2, 40, 2, 16)))
        yield Case(
            f"gated_linear_attention {form}, gates of a head, segments",
            lambda q, k, v, s, g, gla=gla: gla(q, k, v, g, segment_ids=s.astype(int)),
            (q, k, v, segments.astype(jnp.float32)),
            (gates(2),),
        )
        delta = functools.partial(kp.gated_delta_rule, implementation=form)
        yield Case(f"gated_delta_rule {form}", delta, (q, unit, v, jnp.exp(gates(2, 40, 2))))
        recurrence = functools.partial(kp.gated_recurrence, implementation=form)
        yield Case(f"gated_recurrence {form}", recurrence, (normal(2, 30, 8), normal(2, 30, 8)))
        linear = functools.partial(kp.bit_linear, implementation=form)
        yield Case(f"bit_linear {form}", linear, (normal(8, 64),), (normal(64, 32), normal(64)))
    long = tuple(normal(2, 700, 1, 16) for _ in range(3))
    biased = functools.partial(_with_bias, implementation="xla")
    yield Case("attention of many tokens, bias", biased, long, (normal(1, 1, 700, 700),))
    wide = normal(2, 600, 128), normal(2, 600, 128)
    yield Case("gated_recurrence of many steps", kp.gated_recurrence, (jnp.tanh(wide[0]), wide[1]))
    yield from pictures()
    yield from packed()


def _with_bias(q, k, v, bias, **options):
    return kp.attention(q, k, v, bias=bias, **options)


def pictures() -> Iterator[Case]:
    x = normal(4, 8, 8, 16)
    for form in ("auto", "xla", *CONV2D.cpu):
        yield Case(
            f"conv2d {form}",
            functools.partial(kp.conv2d, implementation=form),
            (x,),
            (normal(3, 3, 16, 16),),
        )
    for form in ("auto", "xla", *GROUPED_CONV2D.cpu):
        for width in (1, 4):
            yield Case(
                f"grouped_conv2d {form} {width}",
                functools.partial(kp.grouped_conv2d, groups=16 // width, implementation=form),
                (x,),
                (normal(3, 3, width, 16),),
            )
    weights = kp.BlockWeights(
        normal(3, 3, 4, 16), normal(16), normal(16, 32), normal(32), normal(32, 16), normal(16)
    )
    first = functools.partial(kp.convfirst_block, groups=4)
    yield Case("convfirst_block", first, (x,), (weights,))
    weights = weights._replace(kernel=normal(3, 3, 4, 32), bias=normal(32))
    yield Case("mbconv_block", functools.partial(kp.mbconv_block, groups=8), (x,), (weights,))


def packed() -> Iterator[Case]:
    signs = kp.pack_ternary(jnp.asarray(numbers.integers(-1, 2, (128, 64)), jnp.int8))

    def ternary(x, norm, signs):
        return kp.ternary_matmul(*kp.rms_norm_quantize(x, norm), signs)

    for rows in (2, 64):
        shared = (normal(128), signs)
        yield Case(f"ternary_matmul {rows}", ternary, (normal(rows, 128),), shared, False)
    keep = numbers.random((4, 3)) < 0.6
    blocks, pattern = kp.pack_blocks(normal(32, 24), 8, keep=keep)
    for form in ("xla", "dense"):
        product = functools.partial(kp.block_sparse_matmul, pattern=pattern, implementation=form)
        yield Case(f"block_sparse_matmul {form}", product, (normal(6, 32),), (blocks,))


def loss(case: Case, *arrays: Any) -> jax.Array:
    return sum(jnp.sum(jnp.sin(out)) for out in jax.tree.leaves(case.op(*arrays)))


def error(found: Any, wanted: Any) -> float:
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True)
    return max(float(jnp.abs(a - b).max() / (jnp.abs(b).max() + 1e-6)) for a, b in pairs)


def main() -> None:
    mesh = Mesh(np.array(jax.devices()), ("data",))
    assert mesh.size == 2
    apart, all_of_it = PartitionSpec("data"), PartitionSpec()
    for case in cases():
        specs = (*(apart for _ in case.apart), *(all_of_it for _ in case.shared))
        arrays = (*case.apart, *case.shared)
        op = jax.shard_map(case.op, mesh=mesh, in_specs=specs, out_specs=apart)
        errors = [error(jax.jit(op)(*arrays), jax.jit(case.op)(*arrays))]
        if case.gradient:
            whole = jax.shard_map(
                lambda *a, case=case: jax.lax.psum(loss(case, *a), "data"),
                mesh=mesh, in_specs=specs, out_specs=all_of_it,
            )  # fmt: skip
            places = tuple(range(len(arrays)))
            alone = jax.jit(jax.grad(functools.partial(loss, case), places))
            errors.append(error(jax.jit(jax.grad(whole, places))(*arrays), alone(*arrays)))
        print(case.name, *(f"{one:.0e}" for one in errors), flush=True)
        assert max(errors) < 1e-4, case.name


if __name__ == "__main__":
    main()
