"""What the compile report compiles: layers of vision models at 224 pixels, in training.

Depthwise of MobileNet V2, EfficientNet-B0 and ConvNeXt-T (3 x 3, 5 x 5, 7 x 7), and groups of 4, 8,
16 and 32 channels of ResNeXt-50 and of a MobileNet V1 in groups; all at stride 1, which is what
the kernel is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp

from kernels_pallas.grouped_conv2d import grouped_conv2d
from kernels_pallas.report.case import Case

BATCH = 8
LAYERS = {
    "MobileNet V2 112": (112, 32, 1, 3),
    "MobileNet V2 56": (56, 144, 1, 3),
    "EfficientNet-B0 14": (14, 672, 1, 5),
    "ConvNeXt-T 56": (56, 96, 1, 7),
    "ResNeXt-50 56": (56, 128, 4, 3),
    "groups of 8": (28, 256, 8, 3),
    "ResNeXt-50 14": (14, 512, 16, 3),
    "ResNeXt-50 7": (7, 1024, 32, 3),
}
"""Pixels a side, channels, channels of a group, taps a side."""


def cases() -> Iterator[Case]:
    """Forward in both types, backward in bfloat16."""
    for layer, (pixels, channels, width, taps) in LAYERS.items():
        run = partial(grouped_conv2d, groups=channels // width, implementation="mosaic_tpu")
        for dtype in (jnp.bfloat16, jnp.float32):
            x = jax.ShapeDtypeStruct((BATCH, pixels, pixels, channels), dtype)
            kernel = jax.ShapeDtypeStruct((taps, taps, width, channels), dtype)
            where = f"{layer} {jnp.dtype(dtype).name}"
            yield Case("grouped_conv2d", "forward", where, "mosaic_tpu", run, [x, kernel])
            if dtype == jnp.bfloat16:
                back = partial(_gradients, channels // width)
                arrays = [x, kernel, x]
                yield Case("grouped_conv2d", "backward", where, "mosaic_tpu", back, arrays)


def _gradients(
    groups: int, x: jax.Array, kernel: jax.Array, out_grad: jax.Array
) -> tuple[jax.Array, ...]:
    run = partial(grouped_conv2d, groups=groups, implementation="mosaic_tpu")
    return tuple(jax.vjp(run, x, kernel)[1](out_grad))
