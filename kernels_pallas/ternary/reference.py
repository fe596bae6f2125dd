"""The definitions, in few lines: the oracle for every other form. float64 stays float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.dtypes import accumulator
from kernels_pallas.ternary.packing import PackedTernary, unpack_ternary

FLOOR = 1e-5
"""Least scale of a row of activations or of a weight: rows of zeros divide by it."""


def rms_norm(x: jax.Array, weight: jax.Array, eps: float) -> jax.Array:
    """x / sqrt(mean(x^2) + eps) * weight. A mean that overflows gives NaN, not zero."""
    kind = accumulator(x.dtype)
    x, weight = x.astype(kind), weight.astype(kind)
    mean = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    rms = jnp.sqrt(mean + jnp.asarray(eps, kind))
    root = jnp.where(jnp.isfinite(mean), rms, jnp.nan)
    return x / root * weight.reshape((1,) * (x.ndim - 1) + weight.shape)


def rms_norm_quantize(x: jax.Array, weight: jax.Array, eps: float) -> tuple[jax.Array, jax.Array]:
    """y = rms_norm(x); scale = max(max|y|, 1e-5) / 127; int8 = clip(round(y / scale))."""
    y = rms_norm(x, weight, eps)
    top = jnp.maximum(jnp.max(jnp.abs(y), axis=-1, keepdims=True), jnp.asarray(FLOOR, y.dtype))
    rounded = jnp.clip(jnp.round(y * (jnp.asarray(127, y.dtype) / top)), -128, 127)
    good = jnp.all(jnp.isfinite(y), axis=-1, keepdims=True)
    codes = jnp.where(good, rounded, jnp.zeros_like(rounded)).astype(jnp.int8)
    return codes, jnp.where(good, top / jnp.asarray(127, y.dtype), jnp.nan)


def ternary_matmul_int32(x: jax.Array, packed: PackedTernary) -> jax.Array:
    """x @ w in int32."""
    return jnp.matmul(x.astype(jnp.int32), unpack_ternary(packed).astype(jnp.int32))


def quantize_weight(weight: jax.Array) -> tuple[jax.Array, jax.Array]:
    """scale = max(mean|W|, 1e-5); clip(round(W / scale), -1, 1) as int8, and the scale."""
    w = weight.astype(accumulator(weight.dtype))
    scale = jnp.maximum(jnp.mean(jnp.abs(w)), jnp.asarray(FLOOR, w.dtype))
    rounded = jnp.clip(jnp.round(w * (jnp.asarray(1, w.dtype) / scale)), -1, 1)
    known = jnp.where(jnp.isnan(scale), jnp.zeros_like(rounded), rounded)
    return known.astype(jnp.int8), scale


def bit_linear(x: jax.Array, weight: jax.Array, norm_weight: jax.Array, eps: float) -> jax.Array:
    """y = rms_norm(x); out = quantised(y) @ quantised(W): both rounders pass gradients straight."""
    y = rms_norm(x, norm_weight, eps)
    codes, scale = rms_norm_quantize(x, norm_weight, eps)
    rounded = jax.lax.stop_gradient(codes.astype(y.dtype) * scale)
    y = y + jax.lax.stop_gradient(rounded - y)
    signs, size = quantize_weight(weight)
    w = weight.astype(size.dtype)
    w = w + jax.lax.stop_gradient(signs.astype(w.dtype) * size - w)
    return jnp.matmul(y, w.astype(y.dtype), precision="highest").astype(x.dtype)
