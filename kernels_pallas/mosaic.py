"""Kernels of Mosaic for TPU: `pl.pallas_call` as every kernel here calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax.experimental import pallas as pl

from kernels_pallas import manual


def call(kernel: Callable[..., None], *, out_shape: Any, **options: Any) -> Callable[..., Any]:
    """`pl.pallas_call`, whose outputs vary over the axes of a mesh as its inputs do.

    Args:
        kernel: of references.
        out_shape: of the outputs, a tree of `jax.ShapeDtypeStruct`.
        options: more of `pl.pallas_call`.
    """

    def run(*arrays: Any) -> Any:
        arrays = manual.alike(arrays)
        shapes = manual.outputs(out_shape, arrays)
        return pl.pallas_call(kernel, out_shape=shapes, **options)(*arrays)

    return run
