"""What the compile report compiles: MatMul-free LM's recurrence at 370M and 1.3B, in training.

Widths are those of the published models (arXiv 2406.02528): 1024 and 2048. Gates are float32 and
values bfloat16, as the layer computes them, or both are float32. One sequence alone is the case
that the GPU form cuts into pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp

from kernels_pallas.gated_recurrence import gated_recurrence
from kernels_pallas.report.case import Case

BATCH, STEPS = 8, 2048
WIDTHS = {"370M": 1024, "1.3B": 2048}


def cases() -> Iterator[Case]:
    """Forward and backward, each form, both sizes; once against time, once a single sequence."""
    for form in ("mosaic_tpu", "mosaic_gpu"):
        run = partial(gated_recurrence, implementation=form)
        for model, width in WIDTHS.items():
            for dtype in (jnp.float32, jnp.bfloat16):
                where = f"{model} {jnp.dtype(dtype).name}"
                x = jax.ShapeDtypeStruct((BATCH, STEPS, width), dtype)
                decay = jax.ShapeDtypeStruct(x.shape, jnp.float32)
                yield Case("gated_recurrence", "forward", where, form, run, [decay, x])
                back = _gradients(run)
                yield Case("gated_recurrence", "backward", where, form, back, [decay, x, x])
        more = {
            "370M reverse": (partial(run, reverse=True), (BATCH, STEPS, WIDTHS["370M"])),
            "1.3B batch 1": (run, (1, STEPS, WIDTHS["1.3B"])),
        }
        for where, (function, shape) in more.items():
            x = jax.ShapeDtypeStruct(shape, jnp.bfloat16)
            yield Case("gated_recurrence", "forward", where, form, function, [x, x])
            back = _gradients(function)
            yield Case("gated_recurrence", "backward", where, form, back, [x, x, x])


def _gradients(run: Callable[..., jax.Array]) -> Callable[..., tuple[jax.Array, ...]]:
    def backward(decay: jax.Array, x: jax.Array, out_grad: jax.Array) -> tuple[jax.Array, ...]:
        return tuple(jax.vjp(run, decay, x)[1](out_grad))

    return backward
