"""Softmax attention: checks and choice of form; the definition is in `reference`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas import checks, dispatch
from kernels_pallas.attention import cudnn, mosaic_tpu, reference, xla
from kernels_pallas.attention.reference import Segments

__all__ = ["OP", "attention"]

OP = dispatch.Op("attention", pallas=("mosaic_tpu",), library="cudnn")


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    bias: jax.Array | None = None,
    causal: bool = False,
    window: int | None = None,
    segment_ids: jax.Array | tuple[jax.Array, jax.Array] | None = None,
    scale: float | None = None,
    implementation: str = "auto",
    interpret: bool = False,
) -> jax.Array:
    """softmax(q k^T * scale + bias) v, per head (Vaswani et al. 2017, section 3.2.1).

    Query i stands at position p = i + S - T among the keys: the queries are the last T. A query
    that sees no key gives zero. Each form has a gradient for q, k, v and bias that keeps no scores
    where they are many (on a CPU, from four million on).

    Args:
        q: queries [B, T, H, D].
        k: keys [B, S, K, D]; K divides H, and query head h reads kv head h // (H // K).
        v: values [B, S, K, E].
        bias: added to the scaled scores, [B or 1, H or 1, T or 1, S or 1]; -inf hides a key.
        causal: a query sees keys at j <= p; needs S >= T.
        window: a query sees keys at |p - j| < window: itself and the window - 1 before it, and
            without `causal` as many after it.
        segment_ids: a query sees the keys of its own segment: whole numbers [B, T] where S = T,
            or a pair, of the queries [B, T] and of the keys [B, S].
        scale: multiplies the scores; 1 / sqrt(D) when None.
        implementation: "auto"; "reference"; "xla"; "pallas", on TPU the kernel "mosaic_tpu";
            "cudnn" on NVIDIA GPUs. The last two take half precision and say what else they
            cannot take; "auto" then takes "xla".
        interpret: runs the kernel in the interpreter, on any device.

    Returns:
        [B, T, H, E] in the dtype of `q`. Scores and softmax are at least float32.

    Raises:
        ValueError: shapes that do not fit, or a form that does not exist or cannot run here.
        TypeError: inputs that are not floating point, or of unequal dtypes.

    Cost: 2 B H P (D + E) FLOPs forward for P pairs of query and key that are seen, and 2 B H P
        (3 D + 2 E) more backward; bytes of q, k, v and the result once (`cost`).
    """
    segments = _check(q, k, v, bias, causal, window, segment_ids)
    if scale is None:
        scale = q.shape[-1] ** -0.5
    settings: dict[str, Any] = {"causal": bool(causal), "window": window, "scale": float(scale)}
    unfit: dict[str, Callable[..., str]] = {
        "mosaic_tpu": functools.partial(mosaic_tpu.unfit, interpret=interpret),
        "cudnn": cudnn.unfit,
    }
    form = OP.choose(
        implementation,
        interpret=interpret,
        unfit=lambda name: unfit[name](q, k, v, bias, segments, causal=causal, window=window),
    )
    forms = {
        "reference": functools.partial(reference.attention, **settings),
        "xla": functools.partial(xla.attention, **settings),
        "mosaic_tpu": functools.partial(mosaic_tpu.attention, **settings, interpret=interpret),
        "cudnn": functools.partial(cudnn.attention, **settings),
    }
    fixed = implementation != "auto" or interpret
    out: jax.Array = dispatch.run(form, forms, q, k, v, bias, segments, fixed=fixed)
    return out


def _check(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    bias: jax.Array | None,
    causal: bool,
    window: int | None,
    segment_ids: jax.Array | tuple[jax.Array, jax.Array] | None,
) -> Segments | None:
    """Refuses what does not fit; the segments as a pair."""
    op = "attention"
    checks.option(op, "causal", causal, (True, False))
    checks.floating(op, q=q, k=k, v=v)
    checks.alike(op, q=q, k=k, v=v)
    sizes = checks.shapes(op, q=(q, "B T H D"), k=(k, "B S K D"), v=(v, "B S K E"))
    batch, queries, heads, keys = (sizes[letter] for letter in "BTHS")
    checks.divides(op, "query heads", heads, "kv heads", sizes["K"])
    if causal and keys < queries:
        raise ValueError(f"{op}: causal with {queries} queries needs as many keys, got {keys}")
    if window is not None and (type(window) is not int or window < 1):
        raise ValueError(f"{op}: window={window!r}; needed a whole number of keys from 1 on")
    if bias is not None:
        checks.floating(op, bias=bias)
        full = (batch, heads, queries, keys)
        if bias.ndim != 4 or any(b not in (1, f) for b, f in zip(bias.shape, full, strict=True)):
            raise ValueError(
                f"{op}: bias has shape {bias.shape}; needed {list(full)} with any axis 1"
            )
    if segment_ids is None:
        return None
    if not isinstance(segment_ids, (tuple, list)):
        if queries != keys:
            raise ValueError(
                f"{op}: segment_ids is one array but there are {queries} queries and {keys} keys;"
                " give a pair, of the queries and of the keys"
            )
        segment_ids = (segment_ids, segment_ids)
    if len(segment_ids) != 2:
        raise ValueError(f"{op}: segment_ids has {len(segment_ids)} arrays; needed one or two")
    of_queries, of_keys = segment_ids
    for name, ids in (("of the queries", of_queries), ("of the keys", of_keys)):
        checks.arrays(op, **{f"segment_ids {name}": ids})
        if not jnp.issubdtype(ids.dtype, jnp.integer):
            raise TypeError(
                f"{op}: segment_ids {name} have dtype {ids.dtype}; needed whole numbers"
            )
    known = {"B": batch, "T": queries, "S": keys}
    checks.shapes(op, known, **{"segment_ids of the queries": (of_queries, "B T")})
    checks.shapes(op, known, **{"segment_ids of the keys": (of_keys, "B S")})
    return of_queries, of_keys
