"""Attention on NVIDIA GPUs by the cuDNN library through jax: no Pallas, and called what it is."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas import dispatch
from kernels_pallas.attention.reference import Segments

_AMPERE, _HOPPER = (8, 0), (9, 0)


def unfit(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    bias: jax.Array | None,
    segments: Segments | None,
    *,
    causal: bool,
    window: int | None,
) -> str:
    """Why the library cannot take these inputs; empty where it can."""
    capability = dispatch.current_target().capability or (0, 0)
    widest = 256 if capability >= _HOPPER else 128
    width = q.shape[3]
    here = jax.default_backend() == "gpu"  # of a GPU elsewhere it is taken for granted
    if capability < _AMPERE or (here and not _installed()):
        return "cuDNN's attention needs the library and a GPU of compute capability 8.0"
    if q.dtype not in (jnp.bfloat16, jnp.float16):
        return f"cuDNN's attention takes half precision, not {q.dtype}"
    if width % 8 or width > widest or v.shape[3] != width:
        return f"cuDNN's attention takes equal widths, multiples of 8 up to {widest}"
    if bias is not None or segments is not None:
        return "cuDNN's attention would hold a bias or segments as a matrix of scores' size"
    if causal and q.shape[1] != k.shape[1]:
        return "cuDNN's attention lets query 0 see key 0 alone, wherever the queries stand"
    if window is not None and not causal:
        return "cuDNN's attention takes a window only with causal"
    return ""


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    bias: jax.Array | None = None,
    segments: Segments | None = None,
    *,
    causal: bool,
    window: int | None,
    scale: float,
) -> jax.Array:
    """softmax(q k^T * scale) v; arguments as in `kernels_pallas.attention.attention`."""
    return jax.nn.dot_product_attention(
        q,
        k,
        v,
        scale=scale,
        is_causal=causal,
        local_window_size=None if window is None else (window - 1, 0),
        implementation="cudnn",
    )


def _installed() -> bool:
    """Whether jax finds the library; where jax no longer says so in this way, that it does."""
    try:
        from jax._src.lib import cuda_versions
    except ImportError:
        return True
    try:
        return cuda_versions is not None and bool(cuda_versions.cudnn_get_version())
    except RuntimeError:
        return False
