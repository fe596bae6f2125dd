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


def enough_threads(op: str, threads: int) -> None:
    """That a kernel of several threads can be interpreted here.

    They wait for each other, each in a thread of XLA's, and the program that called them in one
    more: with fewer they would wait for ever.

    Args:
        op: name for the error.
        threads: of the kernel.

    Raises:
        ValueError: if XLA has fewer.
    """
    import os

    import jax

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    told = os.environ.get("NPROC", "")
    here = int(told) if told.isdigit() and int(told) else cores or 1
    here = max(here, len(jax.devices("cpu")))
    if here <= threads:
        raise ValueError(
            f"{op}: interpret=True needs {threads + 1} threads of XLA's, and there are {here};"
            f" set NPROC={threads + 1} in the environment before jax starts"
        )
