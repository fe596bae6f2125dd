"""What the compile report compiles: pointwise layers of vision models with one block in six kept.

Blocks are of 128 x 128, the side of a TPU's matrix unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp

from kernels_pallas.block_sparse_matmul import BlockPattern, block_sparse_matmul
from kernels_pallas.report.case import Case

SIDE = 128
LAYERS = {
    "MobileNet V1 14": (8 * 14 * 14, 512, 512),
    "ConvNeXt-T 28": (8 * 28 * 28, 192, 768),
}
"""Pixels of a batch, input channels, output channels."""


def every_sixth(inputs: int, outputs: int) -> BlockPattern:
    """A pattern that keeps one block in six, no two in a row of blocks side by side."""
    high, wide = -(-inputs // SIDE), -(-outputs // SIDE)
    kept = [
        (row, column)
        for column in range(wide)
        for row in range(high)
        if (row + column * high) % 6 == column % 2
    ]
    return BlockPattern(inputs, outputs, tuple(kept), (SIDE, SIDE))


def cases() -> Iterator[Case]:
    """Forward in both types, backward in bfloat16."""
    for layer, (rows, inputs, outputs) in LAYERS.items():
        pattern = every_sixth(inputs, outputs)
        run = partial(block_sparse_matmul, pattern=pattern, implementation="mosaic_tpu")
        for dtype in (jnp.bfloat16, jnp.float32):
            x = jax.ShapeDtypeStruct((rows, inputs), dtype)
            blocks = jax.ShapeDtypeStruct((len(pattern.kept), SIDE, SIDE), dtype)
            where = f"{layer} {jnp.dtype(dtype).name}"
            yield Case("block_sparse_matmul", "forward", where, "mosaic_tpu", run, [x, blocks])
            if dtype == jnp.bfloat16:
                back = partial(_gradients, pattern)
                out = jax.ShapeDtypeStruct((rows, outputs), dtype)
                arrays = [x, blocks, out]
                yield Case("block_sparse_matmul", "backward", where, "mosaic_tpu", back, arrays)


def _gradients(
    pattern: BlockPattern, x: jax.Array, blocks: jax.Array, out_grad: jax.Array
) -> tuple[jax.Array, ...]:
    run = partial(block_sparse_matmul, pattern=pattern, implementation="mosaic_tpu")
    return tuple(jax.vjp(run, x, blocks)[1](out_grad))
