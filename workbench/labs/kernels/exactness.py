"""How exact is each way to form the scores inside a chunk, from weak gates to strong ones?

The error is max |out − ref| / max |ref| against the recurrence in float64, step by step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.progress import Report

STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Mean of −log of a gate, a step."""

SCHEMES = ("one_level", "two_level", "auto")
WORDS = {"one_level": "One level", "two_level": "Two levels", "auto": "Automatic"}

TOKENS, WIDTH = 256, 64


def accuracy(
    strengths: Sequence[float] = STRENGTHS,
    schemes: Sequence[str] = SCHEMES,
    dtype: str = "float32",
    report: Report | None = None,
) -> list[dict[str, Any]]:
    """Rows of `scheme`, `dtype`, `strength` and `error` (None where the result is no number).

    Args:
        strengths: mean of −log of a gate, a step; gates vary about it as an exponential does.
        schemes: values of `intra` of `kernels_pallas.gated_linear_attention`.
        dtype: of q, k and v.
        report: called before each error is found.
    """
    import jax
    import jax.numpy as jnp

    from kernels_pallas import gated_linear_attention

    rows: list[dict[str, Any]] = []
    total = len(strengths) * len(schemes)
    functions = {
        scheme: jax.jit(
            lambda *arrays, scheme=scheme: gated_linear_attention(*arrays, intra=scheme)[0]
        )
        for scheme in schemes
    }
    for strength in strengths:
        inputs = [array.astype(np.float32) for array in example(strength)]
        q, k, v = (jnp.asarray(array, dtype) for array in inputs[:3])
        exact = [np.asarray(array, np.float64) for array in (q, k, v, inputs[3])]
        wanted = recurrence(*exact)
        for scheme in schemes:
            if report is not None:
                report(len(rows), total, f"{WORDS.get(scheme, scheme)}, decay {strength:g}")
            found = np.asarray(functions[scheme](q, k, v, jnp.asarray(inputs[3])), np.float64)
            error = float(np.abs(found - wanted).max() / np.abs(wanted).max())
            known = error if math.isfinite(error) else None
            rows.append({"scheme": scheme, "dtype": dtype, "strength": strength, "error": known})
    return rows


def example(strength: float, seed: int = 0) -> list[np.ndarray]:
    """q, k, v [1, T, 1, 64] and log-decay whose mean is −strength, in float64."""
    draw = np.random.default_rng(seed)
    shape = (1, TOKENS, 1, WIDTH)
    q, k, v = (draw.standard_normal(shape) for _ in range(3))
    return [q, k, v, -strength * draw.exponential(size=shape)]


def recurrence(q: np.ndarray, k: np.ndarray, v: np.ndarray, log_decay: np.ndarray) -> np.ndarray:
    """S_t = Diag(exp g_t) S_{t-1} + k_t v_tᵀ; o_t = S_tᵀ q_t / √K, in the dtype given."""
    batch, tokens, heads, width = q.shape
    state = np.zeros((batch, heads, width, v.shape[-1]), q.dtype)
    out = np.empty_like(v)
    for t in range(tokens):
        state = np.exp(log_decay[:, t])[..., None] * state + k[:, t, ..., None] * v[:, t, :, None]
        out[:, t] = np.einsum("bhk,bhkv->bhv", q[:, t], state) / math.sqrt(width)
    return out
