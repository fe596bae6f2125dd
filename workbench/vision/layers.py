"""Convolution and dense layer, in NHWC; attribute names are those of timm's files."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from workbench.vision.convolution import Padding, convolve
from workbench.vision.observing import seen, watched


def along_channels(v: Float[Array, " C"], x: Array, dtype: Any) -> Array:
    """v with as many axes as x, the last of them its own."""
    return v.astype(dtype).reshape((1,) * (x.ndim - 1) + v.shape)


class Conv(nnx.Module):
    """A square convolution.

    Args:
        inputs, outputs: channels.
        taps: height and width of the kernel.
        stride: pixels from one output to the next.
        groups: 1 is dense, `inputs` depthwise.
        padding: pixels around, or "same"; `taps // 2` where none is given.
        bias: whether there is one.
        spread: standard deviation of fresh weights; sqrt(2 / fan out) where none is given
            (He et al. 2015, eq. 14).
        dtype: computed in.

    Raises:
        ValueError: groups that do not divide the channels.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        taps: int,
        *,
        stride: int = 1,
        groups: int = 1,
        padding: Padding | None = None,
        bias: bool = False,
        spread: float | None = None,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        for name, channels in (("input", inputs), ("output", outputs)):
            if channels % groups:
                raise ValueError(f"groups={groups} does not divide {channels} {name} channels")
        self.spread = spread or math.sqrt(2 * groups / (taps * taps * outputs))
        shape = (taps, taps, inputs // groups, outputs)
        self.kernel = nnx.Param(self.spread * jax.random.normal(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32)) if bias else None
        self.taps, self.stride, self.groups, self.dtype = taps, stride, groups, dtype
        self.padding: Padding = taps // 2 if padding is None else padding

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w K"]:
        """x * kernel + bias."""
        kernel = self.kernel[...].astype(self.dtype)
        y = convolve(
            x,
            kernel,
            stride=self.stride,
            groups=self.groups,
            padding=self.padding,
            implementation="xla" if watched() else "auto",
        )
        if self.bias is not None:
            y = y + along_channels(self.bias[...], y, self.dtype)
        return seen(self, x, y)


class Dense(nnx.Module):
    """x kernel + bias along the last axis.

    Args:
        inputs, outputs: channels.
        spread: standard deviation of fresh weights.
        dtype: computed in.
    """

    def __init__(
        self, inputs: int, outputs: int, *, spread: float = 0.02, dtype: Any, rngs: nnx.Rngs
    ):
        self.spread = spread
        shape = (inputs, outputs)
        self.kernel = nnx.Param(spread * jax.random.normal(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))
        self.dtype = dtype

    def __call__(self, x: Float[Array, "*B C"]) -> Float[Array, "*B K"]:
        """The product of every pixel."""
        y = jnp.einsum("...c,ck->...k", x, self.kernel[...].astype(self.dtype))
        return seen(self, x, y + along_channels(self.bias[...], y, self.dtype))
