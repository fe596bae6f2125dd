"""What the compile report compiles: blocks of both kinds at 224 pixels, in inference and training.

ConvFirst at the first stages of a network of ours after arXiv 2404.03617 (width 64 at 56 pixels,
then 128 and 256, expansion 4, groups of 8), MBConv at MobileNet V2's blocks, depthwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp

from kernels_pallas.conv_blocks import BlockWeights, convfirst_block, mbconv_block
from kernels_pallas.report.case import Case

BATCH = 8
CONVFIRST = {56: 64, 28: 128, 14: 256}
MBCONV = {56: 24, 28: 32, 14: 64}
"""Channels by pixels a side."""


def cases() -> Iterator[Case]:
    """Forward in both types, backward in bfloat16."""
    for pixels, width in CONVFIRST.items():
        shapes = (3, 3, 8, width), (width, 4 * width), (4 * width, width)
        yield from _cases(convfirst_block, "convfirst_block", pixels, width, width // 8, shapes)
    for pixels, width in MBCONV.items():
        hidden = 6 * width
        shapes = (3, 3, 1, hidden), (width, hidden), (hidden, width)
        yield from _cases(mbconv_block, "mbconv_block", pixels, width, hidden, shapes)


def _cases(
    op: Callable[..., jax.Array],
    name: str,
    pixels: int,
    width: int,
    groups: int,
    shapes: tuple[tuple[int, ...], ...],
) -> Iterator[Case]:
    run = partial(_run, op, groups)
    for dtype in (jnp.bfloat16, jnp.float32):
        x = jax.ShapeDtypeStruct((BATCH, pixels, pixels, width), dtype)
        arrays = [x]
        for shape in shapes:
            arrays += [jax.ShapeDtypeStruct(one, dtype) for one in (shape, shape[-1:])]
        where = f"{pixels} × {pixels} × {width} {jnp.dtype(dtype).name}"
        yield Case(name, "forward", where, "mosaic_tpu", run, arrays)
        if dtype == jnp.bfloat16:
            yield Case(name, "backward", where, "mosaic_tpu", partial(_back, run), [*arrays, x])


def _run(op: Callable[..., jax.Array], groups: int, x: jax.Array, *weights: jax.Array) -> jax.Array:
    return op(x, BlockWeights(*weights), groups=groups, implementation="mosaic_tpu")


def _back(run: Callable[..., jax.Array], *arrays: jax.Array) -> tuple[jax.Array, ...]:
    *given, gradient = arrays
    out, back = jax.vjp(run, *given)
    return (out, *back(gradient))
