"""What the compile report compiles: the stages of the ConvFirst network of this project, at 224."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp

from kernels_pallas.convfirst_block import BlockWeights, convfirst_block
from kernels_pallas.convfirst_block.mosaic_gpu_tiles import CHANNELS
from kernels_pallas.report.case import Case

BATCH, EXPANSION, WIDTH = 8, 4, 8
STAGES = {"stage 1": (56, 64), "stage 2": (28, 128), "stage 3": (14, 256), "stage 4": (7, 512)}
"""Pixels a side and channels."""
FORMS = (
    ("mosaic_tpu", jnp.bfloat16),
    ("mosaic_tpu", jnp.float32),
    ("mosaic_gpu", jnp.bfloat16),
)


def weights_of(
    channels: int,
    hidden: int,
    spatial: int,
    dtype: jax.typing.DTypeLike,
    width: int = WIDTH,
) -> list[jax.ShapeDtypeStruct]:
    """Shapes of a block's weights, with a 3 x 3 convolution over `spatial` channels."""
    shapes = (
        (3, 3, width, spatial), (spatial,), (channels, hidden), (hidden,), (hidden, channels),
        (channels,),
    )  # fmt: skip
    return [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]


def cases() -> Iterator[Case]:
    """Forward, for backward is the layers': every stage in bfloat16, the first in float32 on TPU.

    On Hopper the last stage has more channels than the kernel takes.
    """
    for stage, (pixels, channels) in STAGES.items():
        for form, dtype in FORMS:
            if form == "mosaic_gpu" and channels > CHANNELS:
                continue
            if dtype == jnp.float32 and stage != "stage 1":
                continue
            x = jax.ShapeDtypeStruct((BATCH, pixels, pixels, channels), dtype)
            arrays = [x, *weights_of(channels, EXPANSION * channels, channels, dtype)]
            where = f"{stage} {jnp.dtype(dtype).name}"
            run = partial(_run, form, channels // WIDTH)
            yield Case("convfirst_block", "forward", where, form, run, arrays)


def _run(form: str, groups: int, x: jax.Array, *weights: jax.Array) -> jax.Array:
    return convfirst_block(x, BlockWeights(*weights), groups=groups, implementation=form)
