"""The interpreter of Mosaic GPU, wherever the installed jax keeps it."""

from __future__ import annotations

from typing import Any


def mosaic_gpu(**options: Any) -> Any:
    """Parameters that make `plgpu.kernel` interpret: public from jax 0.12 on, hidden before."""
    from jax.experimental.pallas import mosaic_gpu as plgpu

    if hasattr(plgpu, "InterpretGPUParams"):
        return plgpu.InterpretGPUParams(**options)
    from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams

    return InterpretGPUParams(**options)
