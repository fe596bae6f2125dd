"""What the compile report compiles: MBConv in groups of eight, at stages of 224 pixels.

The blocks are those of the MBConv network of this project, whose last stage does not fit in a
kernel's memory and gains least, and two depthwise ones of MobileNet V2.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp

from kernels_pallas.convfirst_block.block import BlockWeights
from kernels_pallas.convfirst_block.cases import BATCH, EXPANSION, STAGES, WIDTH, weights_of
from kernels_pallas.mbconv_block import mbconv_block
from kernels_pallas.report.case import Case

MOBILENET = {"MobileNet V2 56": (56, 24), "MobileNet V2 14": (14, 96)}
TIMES = 6
"""Hidden channels of MobileNet V2 over its input's."""


def cases() -> Iterator[Case]:
    """Every block in bfloat16, and the first in float32; forward."""
    for stage, (pixels, channels) in list(STAGES.items())[:-1]:
        hidden = EXPANSION * channels
        for dtype in (jnp.bfloat16, *((jnp.float32,) if stage == "stage 1" else ())):
            weights = weights_of(channels, hidden, hidden, dtype)
            where = f"{stage} {jnp.dtype(dtype).name}"
            yield _case(where, pixels, channels, hidden // WIDTH, "silu", weights)
    for where, (pixels, channels) in MOBILENET.items():
        hidden = TIMES * channels
        weights = weights_of(channels, hidden, hidden, jnp.bfloat16, width=1)
        yield _case(f"{where} bfloat16", pixels, channels, hidden, "relu6", weights)


def _case(
    where: str,
    pixels: int,
    channels: int,
    groups: int,
    activation: str,
    weights: list[jax.ShapeDtypeStruct],
) -> Case:
    x = jax.ShapeDtypeStruct((BATCH, pixels, pixels, channels), weights[0].dtype)
    run = partial(_run, groups, activation)
    return Case("mbconv_block", "forward", where, "mosaic_tpu", run, [x, *weights])


def _run(groups: int, activation: str, x: jax.Array, *weights: jax.Array) -> jax.Array:
    made = BlockWeights(*weights)
    return mbconv_block(x, made, groups=groups, activation=activation, implementation="mosaic_tpu")
