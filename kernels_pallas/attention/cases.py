"""What the compile report compiles: attention of real models on TPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp

from kernels_pallas.attention import attention
from kernels_pallas.report.case import Case

# Batch, tokens, heads, width of a head. Transformer++ of GLA's comparison (Yang et al. 2023,
# section 5.1) and the outermost self-attention of Stable Diffusion 1.5 at 512 x 512 pixels.
SHAPES = {
    "340M": ((8, 2048, 16, 64), True),
    "1.3B": ((4, 2048, 32, 64), True),
    "SD 1.5": ((2, 4096, 8, 40), False),
}


def cases() -> Iterator[Case]:
    """Forward and backward at each model's shape."""
    for model, (shape, causal) in SHAPES.items():
        arrays = [jax.ShapeDtypeStruct(shape, jnp.bfloat16)] * 3
        forward = _forward(causal)
        yield Case("attention", "forward", model, "mosaic_tpu", forward, arrays)
        backward = jax.grad(lambda q, k, v, f=forward: _total(f(q, k, v)), argnums=(0, 1, 2))
        yield Case("attention", "backward", model, "mosaic_tpu", backward, arrays)


def _forward(causal: bool) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
    return lambda q, k, v: attention(q, k, v, causal=causal, implementation="mosaic_tpu")


def _total(out: jax.Array) -> jax.Array:
    return jnp.sum(out.astype(jnp.float32))
