"""The ternary ops at the shapes of MatMul-free LM: decoding one token, a batch of 8, a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp

from kernels_pallas.report.case import Case
from kernels_pallas.ternary import (
    OP,
    PALLAS,
    PackedTernary,
    bit_linear,
    rms_norm_quantize,
    ternary_matmul,
)
from kernels_pallas.ternary.packing import codes_shape

MODELS = {"370M": (1024, 2816), "1.3B": (2048, 5632)}
"""Width and inner width."""
PROMPT = 2048


def cases() -> Iterator[Case]:
    """Every form at both models: the norm, each product of a layer, and training's layer."""
    for form in PALLAS:
        for model, (width, inner) in MODELS.items():
            yield from _model(form, model, width, inner)


def _model(form: str, model: str, width: int, inner: int) -> Iterator[Case]:
    norm = partial(rms_norm_quantize, implementation=form)
    for direction, rows, k in (("decode", 1, width), ("prefill", PROMPT, inner)):
        arrays = [_of((rows, k), jnp.bfloat16), _of((k,), jnp.float32)]
        yield Case("rms_norm_quantize", direction, model, form, norm, arrays)
    shapes = [(width, width), (width, 2 * inner), (inner, width)]
    for k, n in shapes:
        for direction, rows in (("decode", 1), ("decode", 8), ("prefill", PROMPT)):
            arrays = [
                _of((rows, k), jnp.int8),
                _of((rows, 1), jnp.float32),
                _of(codes_shape(k, n, _layout(form)), jnp.uint8),
            ]
            where, product = f"{model} {rows}×{k}×{n}", partial(_product, form, k, n)
            yield Case(OP.name, direction, where, form, product, arrays)
    layer = partial(bit_linear, implementation=form)
    arrays = [
        _of((1, PROMPT, width), jnp.bfloat16),
        _of((width, width), jnp.float32),
        _of((width,), jnp.float32),
    ]
    yield Case("bit_linear", "forward", model, form, layer, arrays)
    yield Case("bit_linear", "backward", model, form, partial(_gradients, form), arrays)


def _product(
    form: str, k: int, n: int, x: jax.Array, scale: jax.Array, codes: jax.Array
) -> jax.Array:
    packed = PackedTernary(codes, k, n, _layout(form))
    return ternary_matmul(x, scale, packed, out_dtype=jnp.bfloat16, implementation=form)


def _gradients(
    form: str, x: jax.Array, weight: jax.Array, gain: jax.Array
) -> tuple[jax.Array, ...]:
    def total(x: jax.Array, weight: jax.Array, gain: jax.Array) -> jax.Array:
        return jnp.sum(bit_linear(x, weight, gain, implementation=form).astype(jnp.float32))

    return jax.grad(total, (0, 1, 2))(x, weight, gain)


def _layout(form: str) -> str:
    return "columns" if form == "mosaic_gpu" else "rows"


def _of(shape: tuple[int, ...], dtype: jnp.dtype) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)
