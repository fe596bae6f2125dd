"""Convolution, group norm, time embedding and resampling, in NHWC."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from kernels_pallas.conv2d import WinogradWeights, conv2d, winograd_weights


class WinogradKernel(nnx.Module):
    """Transformed weights where a convolution's kernel would stand: faster, 16/9 of its memory."""

    unwritable = (
        "this model's kernels are kept transformed for speed and cannot be written; save it before "
        "they are"
    )

    def __init__(self, kernel: Float[Array, "3 3 C D"] | jax.ShapeDtypeStruct):
        # One program: alone, each of its many steps would leave a kernel's size in memory.
        run = jax.jit(lambda kernel: winograd_weights(kernel).values)
        outline = isinstance(kernel, jax.ShapeDtypeStruct)
        self.values = nnx.Param(jax.eval_shape(run, kernel) if outline else run(kernel))

    @property
    def weights(self) -> WinogradWeights:
        """What `conv2d` takes in place of a kernel."""
        return WinogradWeights(self.values[...])


class Conv(nnx.Module):
    """A square convolution with bias; padding keeps height and width at stride 1."""

    def __init__(
        self, inputs: int, outputs: int, size: int, *, stride: int = 1, dtype: Any, rngs: nnx.Rngs
    ):
        init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        self.kernel: nnx.Param | WinogradKernel = nnx.Param(
            init(rngs.params(), (size, size, inputs, outputs), jnp.float32)
        )
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))
        self.size, self.stride, self.dtype = size, stride, dtype

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        """x * kernel + bias."""
        bias = self.bias[...].astype(self.dtype)[None, None, None, :]
        if isinstance(self.kernel, WinogradKernel):
            return conv2d(x, self.kernel.weights, padding=1) + bias
        return convolve(x, self.kernel[...].astype(self.dtype), self.stride) + bias


def convolve(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C D"], stride: int = 1
) -> Float[Array, "B h w D"]:
    """Cross-correlation with padding k // 2; a 1x1 kernel is a plain product."""
    if kernel.shape[0] == 1:
        return jnp.einsum("bhwc,cd->bhwd", x, kernel[0, 0])
    return conv2d(x, kernel, strides=stride, padding=kernel.shape[0] // 2)


class GroupNorm(nnx.Module):
    """(x - mean) / sqrt(var + eps) over pixels and a group's channels (Wu & He 2018, eq. 1-5)."""

    def __init__(self, channels: int, groups: int, *, eps: float, dtype: Any):
        self.scale = nnx.Param(jnp.ones((channels,), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))
        self.groups, self.eps, self.dtype = groups, eps, dtype

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Moments from sums per channel, then per group: one pass over x, no five-axis reshape.

        The sums are taken of x minus its first pixel, so that a channel with a mean far above its
        spread keeps its variance; the shift cancels exactly, in the gradient too.
        """
        batch, height, width, channels = x.shape
        x = x.astype(jnp.float32)
        pixels = height * width
        shift = jax.lax.stop_gradient(x[:, :1, :1, :])
        away = x - shift
        mean = jnp.sum(away, axis=(1, 2)) / pixels
        spread = jnp.sum(away * away, axis=(1, 2)) / pixels - mean * mean
        by_group = (batch, self.groups, channels // self.groups)
        channel_mean = (mean + shift[:, 0, 0, :]).reshape(by_group)
        mean_g = jnp.mean(channel_mean, axis=2, keepdims=True)
        between = channel_mean - mean_g
        var_g = jnp.mean(spread.reshape(by_group) + between * between, axis=2, keepdims=True)
        inverse = jax.lax.rsqrt(jnp.maximum(var_g, 0.0) + self.eps)
        scale = jnp.broadcast_to(inverse, by_group).reshape(batch, channels) * self.scale[...][None]
        offset = (
            self.bias[...][None]
            - jnp.broadcast_to(mean_g, by_group).reshape(batch, channels) * scale
        )
        return (x * scale[:, None, None, :] + offset[:, None, None, :]).astype(self.dtype)


class LayerNorm(nnx.Module):
    """(x - mean) / sqrt(var + eps) over channels (Ba et al. 2016, eq. 4), in float32."""

    def __init__(self, channels: int, *, eps: float, dtype: Any):
        self.scale = nnx.Param(jnp.ones((channels,), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))
        self.eps, self.dtype = eps, dtype

    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B T C"]:
        """The normalised rows."""
        x = x.astype(jnp.float32)
        away = x - jnp.mean(x, axis=-1, keepdims=True)
        inverse = jax.lax.rsqrt(jnp.mean(away * away, axis=-1, keepdims=True) + self.eps)
        scale, bias = self.scale[...][None, None, :], self.bias[...][None, None, :]
        return (away * inverse * scale + bias).astype(self.dtype)


class TimeEmbedding(nnx.Module):
    """Two dense layers over a sinusoid of the timestep."""

    def __init__(
        self,
        width: int,
        outputs: int,
        *,
        freq_shift: int,
        flip_sin_to_cos: bool,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        self.linear_1 = dense(width, outputs, dtype=dtype, rngs=rngs)
        self.linear_2 = dense(outputs, outputs, dtype=dtype, rngs=rngs)
        self.width, self.freq_shift, self.flip_sin_to_cos = width, freq_shift, flip_sin_to_cos
        self.dtype = dtype

    def __call__(self, t: Float[Array, " B"]) -> Float[Array, "B E"]:
        """Embedding of t."""
        wave = sinusoid(
            t, self.width, freq_shift=self.freq_shift, flip_sin_to_cos=self.flip_sin_to_cos
        )
        return self.linear_2(nnx.silu(self.linear_1(wave.astype(self.dtype))))


def sinusoid(
    t: Float[Array, " B"], width: int, *, freq_shift: int = 0, flip_sin_to_cos: bool = True
) -> Float[Array, "B E"]:
    """sin and cos of t * 10000^(-i / (half - freq_shift)), i < half (Ho et al. 2020, appendix B).

    Cosines come first when flipped.
    """
    half = width // 2
    rates = jnp.exp(-math.log(10000.0) / (half - freq_shift) * jnp.arange(half, dtype=jnp.float32))
    angles = t[:, None] * rates[None, :]
    waves = (
        (jnp.cos(angles), jnp.sin(angles))
        if flip_sin_to_cos
        else (jnp.sin(angles), jnp.cos(angles))
    )
    return jnp.concatenate(waves, axis=-1)


class Downsample(nnx.Module):
    """Half height and width by a strided 3x3 convolution."""

    def __init__(self, channels: int, *, dtype: Any, rngs: nnx.Rngs):
        self.conv = Conv(channels, channels, 3, stride=2, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
        """conv(x)."""
        return self.conv(x)


class Upsample(nnx.Module):
    """Twice the height and width: each pixel four times, then a 3x3 convolution."""

    def __init__(self, channels: int, *, dtype: Any, rngs: nnx.Rngs):
        self.conv = Conv(channels, channels, 3, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "B h w C"]) -> Float[Array, "B H W C"]:
        """conv(nearest(x))."""
        batch, height, width, channels = x.shape
        tiled = jnp.broadcast_to(x[:, :, None, :, None, :], (batch, height, 2, width, 2, channels))
        return self.conv(tiled.reshape(batch, 2 * height, 2 * width, channels))


def dense(
    inputs: int, outputs: int, *, bias: bool = True, dtype: Any, rngs: nnx.Rngs
) -> nnx.Linear:
    """x W + b, float32 parameters, computed in `dtype`."""
    init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
    return nnx.Linear(inputs, outputs, use_bias=bias, kernel_init=init, dtype=dtype, rngs=rngs)
