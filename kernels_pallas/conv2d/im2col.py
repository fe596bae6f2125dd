"""A convolution as one product: every output pixel's receptive field becomes a row."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.conv2d.window import Window


def conv2d(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """[B h w, R S C] @ [R S C, K]; a kernel of one tap copies nothing."""
    height, width, inputs, outputs = kernel.shape
    shifted = patches(x, (height, width), window)
    batch, rows, columns = shifted[0].shape[:3]
    fields = shifted[0] if len(shifted) == 1 else jnp.concatenate(shifted, axis=-1)
    product = jnp.matmul(
        fields.reshape(batch * rows * columns, height * width * inputs),
        kernel.reshape(height * width * inputs, outputs),
    )
    return product.reshape(batch, rows, columns, outputs)


def patches(x: jax.Array, taps: tuple[int, int], window: Window) -> list[jax.Array]:
    """What each tap of a kernel sees, [B, h, w, C], row by row of the kernel."""
    rows, columns = window.outputs(x.shape[1:3], taps)
    down, right = window.strides
    padded = window.padded(x)
    return [
        padded[:, r : r + down * (rows - 1) + 1 : down, s : s + right * (columns - 1) + 1 : right]
        for r in range(taps[0])
        for s in range(taps[1])
    ]
