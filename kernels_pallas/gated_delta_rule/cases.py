"""What the compile report compiles: the TPU form at the shapes of two language models."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas.gated_delta_rule import mosaic_tpu
from kernels_pallas.report.case import Case

SHAPES = {"340M": (8, 2048, 4, 256, 256), "1.3B": (4, 2048, 6, 256, 512)}
"""Batch, time, heads, and widths of a key and a value: DeltaNet's of 1024 channels, and those of
Gated DeltaNet's of 2048, whose layer has them whatever its width."""


def cases() -> Iterator[Case]:
    """Forward and backward, with and without gates."""
    for (model, sizes), gated in itertools.product(SHAPES.items(), (True, False)):
        given, gradients = _arrays(*sizes, gated)
        for direction, arrays in (("forward", given), ("backward", given + gradients)):
            function = functools.partial(_call, direction, gated)
            name = model if gated else f"{model}, no gate"
            yield Case("gated_delta_rule", direction, name, "mosaic_tpu", function, arrays)


def _call(direction: str, gated: bool, *arrays: jax.Array) -> Any:
    q, k, v, beta, *rest = arrays
    gates = rest.pop(0) if gated else None
    initial, *gradients = rest
    run = getattr(mosaic_tpu, direction)
    options = {"scale": q.shape[-1] ** -0.5, "chunk_size": 64}
    return run(q, k, v, beta, gates, initial, None, *gradients, **options)


def _arrays(
    batch: int, time: int, heads: int, width: int, values: int, gated: bool
) -> tuple[list[jax.ShapeDtypeStruct], list[jax.ShapeDtypeStruct]]:
    tokens = (batch, time, heads)
    key, value = (jax.ShapeDtypeStruct((*tokens, size), jnp.bfloat16) for size in (width, values))
    each = jax.ShapeDtypeStruct(tokens, jnp.float32)
    state = jax.ShapeDtypeStruct((batch, heads, width, values), jnp.float32)
    return [key, key, value, each, *([each] if gated else []), state], [value, state]
