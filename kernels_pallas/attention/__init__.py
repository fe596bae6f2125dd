"""Softmax attention: checks and choice of form; the definition is in `reference`."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.attention import reference, xla

__all__ = ["IMPLEMENTATIONS", "attention", "chosen"]

IMPLEMENTATIONS = ("reference", "xla")


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    bias: jax.Array | None = None,
    causal: bool = False,
    scale: float | None = None,
    implementation: str = "auto",
) -> jax.Array:
    """softmax(q k^T * scale + bias) v, per head (Vaswani et al. 2017, section 3.2.1).

    Args:
        q: queries [B, T, H, D].
        k: keys [B, S, K, D]; K divides H, and query head h reads kv head h // (H // K).
        v: values [B, S, K, E].
        bias: added to the scaled scores, [B or 1, H or 1, T or 1, S]; -inf hides a key,
            and a query with every key hidden gives zero.
        causal: query i sees keys j <= i + S - T (the last query sees every key); needs S >= T.
        scale: multiplies the scores; 1 / sqrt(D) when None.
        implementation: "auto", or one of `IMPLEMENTATIONS`.

    Returns:
        [B, T, H, E] in the dtype of `q`. Scores and softmax are at least float32.

    Raises:
        ValueError: shapes that do not fit, dtypes that differ, or a form that does not exist.
        TypeError: inputs that are not floating point.
    """
    form = chosen(implementation)
    _check(q, k, v, bias, causal)
    if scale is None:
        scale = q.shape[-1] ** -0.5
    run = reference.attention if form == "reference" else xla.attention
    return run(q, k, v, bias=bias, causal=causal, scale=float(scale))


def chosen(implementation: str = "auto") -> str:
    """The form that `implementation` stands for.

    Raises:
        ValueError: the form does not exist.
    """
    if implementation == "auto":
        return "xla"
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"attention: implementation={implementation!r} does not exist;"
            f" choose 'auto' or one of {list(IMPLEMENTATIONS)}"
        )
    return implementation


def _check(q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array | None, causal: bool) -> None:
    for name, array in (("q", q), ("k", k), ("v", v)):
        if array.ndim != 4:
            raise ValueError(
                f"attention: {name} has shape {array.shape}; needed [batch, time, heads, width]"
            )
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"attention: {name} has dtype {array.dtype}; needed a floating type")
        if array.dtype != q.dtype:
            raise ValueError(
                f"attention: {name} has dtype {array.dtype} but q has {q.dtype}; cast them alike"
            )
    batch, queries, heads, width = q.shape
    keys, kv_heads = k.shape[1], k.shape[2]
    if k.shape != (batch, keys, kv_heads, width):
        raise ValueError(
            f"attention: k has shape {k.shape}; with q {q.shape} needed [{batch}, S, K, {width}]"
        )
    if v.shape[:3] != k.shape[:3]:
        raise ValueError(
            f"attention: v has shape {v.shape}; with k {k.shape}"
            f" needed [{batch}, {keys}, {kv_heads}, E]"
        )
    if min(*q.shape, *k.shape, *v.shape) == 0:
        raise ValueError(f"attention: an axis is empty: q {q.shape}, k {k.shape}, v {v.shape}")
    if heads % kv_heads:
        raise ValueError(
            f"attention: {heads} query heads cannot share {kv_heads} kv heads;"
            " the first must be a multiple"
        )
    if causal and keys < queries:
        raise ValueError(
            f"attention: causal with {queries} queries needs at least as many keys, got {keys}"
        )
    if bias is None:
        return
    full = (batch, heads, queries, keys)
    if bias.ndim != 4 or any(b not in (1, f) for b, f in zip(bias.shape, full, strict=True)):
        raise ValueError(
            f"attention: bias has shape {bias.shape}; needed {list(full)} with any axis 1"
        )
    if not jnp.issubdtype(bias.dtype, jnp.floating):
        raise TypeError(
            f"attention: bias has dtype {bias.dtype};"
            " needed a floating type (0 and -inf for a mask)"
        )
