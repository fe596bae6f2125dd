"""Neighbouring groups as one: a kernel of blocks on its diagonal, then a convolution for each.

    kernel[r, s, i G + c, (i, m)] of a merged group is that of its group i; where groups differ, 0

A convolution of few channels leaves most of a CPU's vector unit idle. Of k groups merged it does k
times the multiply-adds, of which all but one in k are with zeros, and is the faster one for narrow
groups on small pictures. Zero times what is not a number is not a number
either: such a pixel spoils the groups that are merged with its own.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas.conv2d import xla
from kernels_pallas.conv2d.window import Window
from kernels_pallas.grouped_conv2d import per_group

FORMS = {"merged_16": 16, "merged_32": 32}
"""Channels that are merged, at most."""


def grouped_conv2d(
    x: jax.Array, kernel: jax.Array, *, groups: int, window: Window, width: int
) -> jax.Array:
    """As many groups as one as keep to `width` channels; all of them are a dense convolution."""
    together = at_once(groups, kernel.shape[2], width)
    dense = on_diagonal(kernel, groups, together)
    return per_group.grouped_conv2d(x, dense, groups=groups // together, window=window)


def at_once(groups: int, inputs: int, width: int) -> int:
    """Groups that are merged: the most that divide all and hold `width` channels together."""
    fitting = [n for n in range(1, groups + 1) if groups % n == 0 and n * inputs <= width]
    return max(fitting, default=1)


def on_diagonal(kernel: jax.Array, groups: int, together: int) -> jax.Array:
    """[R, S, n G, K] of a kernel [R, S, G, K], n groups at a time: zeros between them."""
    height, width, inputs, outputs = kernel.shape
    blocks = kernel.reshape(height, width, 1, inputs, groups // together, together, -1)
    own = jnp.eye(together, dtype=bool)[None, None, :, None, None, :, None]
    dense = jnp.where(own, blocks, 0)
    return dense.reshape(height, width, together * inputs, outputs)


def of_diagonal(dense: jax.Array, groups: int, together: int) -> jax.Array:
    """[R, S, G, K], the blocks of [R, S, n G, K]: what lies between them is dropped."""
    height, width, inputs, outputs = dense.shape
    blocks = dense.reshape(
        height, width, together, inputs // together, groups // together, together, -1
    )
    own = jnp.diagonal(blocks, axis1=2, axis2=5)  # R, S, G, groups / n, M, n
    return jnp.moveaxis(own, -1, -2).reshape(height, width, inputs // together, outputs)


def gradient_of_kernel(
    x: jax.Array, gradient: jax.Array, kernel: jax.Array, *, groups: int, window: Window
) -> jax.Array:
    """[R, S, G, K] of the dense kernel's gradient, all groups merged.

    Args:
        x: pictures [B, H, W, C].
        gradient: of the result, [B, h, w, K].
        kernel: [R, S, G, K].
        groups, window: of the convolution.
    """
    like = jax.eval_shape(lambda: on_diagonal(kernel, groups, groups))
    transposed: Any = jax.linear_transpose(lambda dense: xla.conv2d(x, dense, window), like)
    return of_diagonal(transposed(gradient)[0], groups, groups)
