"""What the compile report compiles: every Pallas form at the shapes of two language models."""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas.gated_linear_attention import OP
from kernels_pallas.report.case import Case

SHAPES = {"340M": (8, 2048, 4, 128, 256), "1.3B": (4, 2048, 4, 256, 512)}
"""Batch, time, heads, and widths of a key and a value of GLA models of 1024 and 2048 channels."""


KINDS = {"channel": "", "row": ", gate per row", "none": ", no gate"}


def cases() -> Iterator[Case]:
    """Forward and backward, with each kind of gate."""
    for form, (model, sizes), (kind, said) in itertools.product(
        ("mosaic_tpu", "mosaic_gpu"), SHAPES.items(), KINDS.items()
    ):
        given, gradients = _arrays(*sizes, kind)
        for direction, arrays in (("forward", given), ("backward", given + gradients)):
            function = functools.partial(_call, form, direction, kind)
            name = f"{model}{said}"
            yield Case(OP.name, direction, name, form, function, arrays)


def _call(form: str, direction: str, kind: str, *arrays: jax.Array) -> Any:
    module = importlib.import_module(f"kernels_pallas.gated_linear_attention.{form}")
    q, k, v, *rest = arrays
    gates = None if kind == "none" else rest.pop(0)
    initial, *gradients = rest
    run = functools.partial(getattr(module, direction), scale=q.shape[-1] ** -0.5, chunk_size=64)
    return run(q, k, v, gates, initial, None, *gradients)


def _arrays(
    batch: int, time: int, heads: int, width: int, values: int, kind: str
) -> tuple[list[jax.ShapeDtypeStruct], list[jax.ShapeDtypeStruct]]:
    tokens = (batch, time, heads)
    key, value = (jax.ShapeDtypeStruct((*tokens, size), jnp.bfloat16) for size in (width, values))
    state = jax.ShapeDtypeStruct((batch, heads, width, values), jnp.float32)
    given = [key, key, value]
    if kind != "none":
        shape = (*tokens, width) if kind == "channel" else tokens
        given.append(jax.ShapeDtypeStruct(shape, jnp.float32))
    return [*given, state], [value, state]
