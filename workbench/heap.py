"""Memory that compiling leaves behind, given back to the system."""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

import jax

COMPILED = "/jax/core/compile/backend_compile_duration"
LEAST_SECONDS = 0.5


@functools.cache
def trim_after_compiling() -> None:
    """Free memory goes back to the system after each program that took long to compile or load.

    XLA frees much memory then, some 280 MB for a Stable Diffusion UNet that is loaded, which the
    GNU C library keeps for later. Other systems' libraries are left alone.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return

    def compiled(event: str, duration_secs: float, **_: Any) -> None:
        if event == COMPILED and duration_secs >= LEAST_SECONDS:
            trim(0)

    jax.monitoring.register_event_duration_secs_listener(compiled)
