"""Kernels of Mosaic GPU: `plgpu.kernel` as every kernel here calls it, under every jax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas import interpreter, manual


def kernel(
    body: Callable[..., None],
    *,
    interpret: Any = False,
    approx_math: bool = False,
    unsafe_no_auto_barriers: bool = False,
    **options: Any,
) -> Callable[..., Any]:
    """`plgpu.kernel` lowered lane by lane, as layouts are written here: jax 0.11 infers them.

    Args:
        body: the kernel.
        interpret: True for the interpreter, or its parameters.
        approx_math, unsafe_no_auto_barriers: of `plgpu.CompilerParams`.
        options: more of `plgpu.kernel`.

    Returns:
        The kernel, a function of arrays; what it returns varies over the axes of a mesh as they do.
    """
    if interpret:
        options["interpret"] = interpreter.mosaic_gpu() if interpret is True else interpret
    parameters = plgpu.CompilerParams(
        approx_math=approx_math,
        unsafe_no_auto_barriers=unsafe_no_auto_barriers,
        lowering_semantics=plgpu.LoweringSemantics.Lane,
    )

    def run(*arrays: Any) -> Any:
        arrays = manual.alike(arrays)
        found = plgpu.kernel(body, compiler_params=parameters, **options)(*arrays)
        return manual.varying(found, arrays)

    return run
