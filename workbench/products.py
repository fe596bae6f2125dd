"""Who multiplies matrices for a program on a CPU."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

EIGEN = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}


def by_eigen(compute: Any = np.float32) -> dict[str, str] | None:
    """Compiler options by which Eigen takes a network's products, for a `jax.jit` inside no other.

    XLA of today gives them to YNNPACK, which takes the smaller ones on one thread whatever there
    are, and looks through the whole program for each of them whenever a compiled one is loaded.

    Args:
        compute: what products run in. Only networks of float32 were measured.

    Returns:
        None for another type than float32, or where XLA knows no such option.
    """
    return EIGEN if np.dtype(compute) == np.float32 and _known() else None


@functools.cache
def _known() -> bool:
    try:
        jax.jit(lambda: 0, compiler_options=EIGEN).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
