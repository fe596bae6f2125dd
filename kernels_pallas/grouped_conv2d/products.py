"""The gradient to a kernel of groups: a product of pixels and slopes for every tap.

    d kernel[r, s, c, (j, m)] = sum over pixels of x[.. r, s .., (j, c)] slope[.., (j, m)]

Neighbouring groups are multiplied as one, and the blocks on the diagonal are kept: a product of few
channels leaves most of a CPU's vector unit idle. What lies between them is dropped, so that a pixel
that is not a number stays in its group.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from kernels_pallas import manual
from kernels_pallas.conv2d.im2col import patches
from kernels_pallas.conv2d.window import Window
from kernels_pallas.grouped_conv2d import merged, per_group

FORMS = {"products_16": 16, "products_32": 32, "products_64": 64}
"""Channels that are multiplied as one, at most."""

BLOCK = 32 * 1024
"""Bytes of slopes that are multiplied at once, if a picture has no more: they stay in the cache for
all taps, which is up to three times as fast."""


def gradient_of_kernel(
    x: jax.Array,
    gradient: jax.Array,
    kernel: jax.Array,
    *,
    groups: int,
    window: Window,
    width: int,
) -> jax.Array:
    """[R, S, G, K].

    Args:
        x: pictures [B, H, W, C].
        gradient: of the result, [B, h, w, K].
        kernel: [R, S, G, K], for its shape.
        groups, window: of the convolution.
        width: channels that are multiplied as one, at most.
    """
    together = merged.at_once(groups, kernel.shape[2], width)
    taps = kernel.shape[0], kernel.shape[1]
    around = lax.optimization_barrier(window.padded(x))
    inside = Window(window.strides, ((0, 0), (0, 0)))

    def products(pixels: jax.Array, slopes: jax.Array) -> jax.Array:
        each = [jnp.einsum("bhwc,bhwk->ck", seen, slopes) for seen in patches(pixels, taps, inside)]
        return jnp.stack(each).reshape(*taps, pixels.shape[3], slopes.shape[3])

    dense = per_group.each(
        lambda pixels, slopes: _summed(products, pixels, slopes),
        around,
        gradient,
        groups // together,
    )
    return merged.of_diagonal(dense, groups, together)


def _summed(
    products: Callable[[jax.Array, jax.Array], jax.Array], pixels: jax.Array, slopes: jax.Array
) -> jax.Array:
    """The sum of products over blocks of pictures."""
    batch = slopes.shape[0]
    most = max(1, BLOCK * batch // slopes.nbytes)
    block = max(count for count in range(1, batch + 1) if batch % count == 0 and count <= most)
    if block == batch:
        return products(pixels, slopes)

    def step(total: jax.Array, number: jax.Array) -> tuple[jax.Array, None]:
        part = [
            lax.dynamic_slice_in_dim(array, number * block, block) for array in (pixels, slopes)
        ]
        return total + products(*part), None

    like = jax.eval_shape(products, pixels, slopes)
    zeros = manual.varying(jnp.zeros(like.shape, like.dtype), slopes)
    return lax.scan(step, zeros, jnp.arange(batch // block))[0]
