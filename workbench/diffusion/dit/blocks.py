"""Parts of a diffusion transformer: patches, conditions, and the block with adaptive norms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from workbench.diffusion.dit.config import DiTConfig
from workbench.diffusion.unet.layers import dense, sinusoid
from workbench.diffusion.unet.taps import Taps
from workbench.diffusion.unet.transformer import Attention, Nothing

UNITS = ("attention", "feed_forward")
"""Units of one block, in execution order."""
TIME_WIDTH = 256


class PatchEmbedding(nnx.Module):
    """Each patch as one token, with its position (Peebles & Xie 2023, section 3.2)."""

    def __init__(self, config: DiTConfig, *, dtype: Any, rngs: nnx.Rngs):
        self.proj = PatchProjection(config, dtype=dtype, rngs=rngs)
        self.base = config.sample_size // config.patch_size

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B T D"]:
        """proj(patches) + positions, row by row."""
        tokens = self.proj(x)
        batch, rows, columns, width = tokens.shape
        places = jnp.asarray(positions(rows, columns, width, self.base), tokens.dtype)
        return tokens.reshape(batch, rows * columns, width) + places[None]


class PatchProjection(nnx.Module):
    """A convolution whose stride is its size: one product per patch."""

    def __init__(self, config: DiTConfig, *, dtype: Any, rngs: nnx.Rngs):
        size = config.patch_size
        init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        shape = (size, size, config.in_channels, config.width)
        self.kernel = nnx.Param(init(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros((config.width,), jnp.float32))
        self.size, self.dtype = size, dtype

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        """x * kernel + bias."""
        batch, height, width, channels = x.shape
        size = self.size
        patches = x.reshape(batch, height // size, size, width // size, size, channels)
        kernel = self.kernel[...].astype(self.dtype)
        bias = self.bias[...].astype(self.dtype)
        return jnp.einsum("bhpwqc,pqcd->bhwd", patches, kernel) + bias[None, None, None, :]


def positions(rows: int, columns: int, width: int, base: int) -> Float[np.ndarray, "T D"]:
    """sin and cos of column and row, each over half the channels (Vaswani et al. 2017, eq. 5).

    Args:
        rows: patches along the height.
        columns: patches along the width.
        width: channels.
        base: patches along each side in training; other sizes are stretched to it.
    """
    rates = 1 / 10000 ** (np.arange(width // 4) / (width // 4))
    across = np.broadcast_to(np.arange(columns) * base / columns, (rows, columns))
    down = np.broadcast_to((np.arange(rows) * base / rows)[:, None], (rows, columns))
    angles = [place.reshape(-1, 1) * rates for place in (across, down)]
    waves = [wave for angle in angles for wave in (np.sin(angle), np.cos(angle))]
    return np.concatenate(waves, axis=1).astype(np.float32)


class TimestepEmbedder(nnx.Module):
    """Two dense layers over a sinusoid of the timestep."""

    def __init__(self, width: int, *, dtype: Any, rngs: nnx.Rngs):
        self.linear_1 = dense(TIME_WIDTH, width, dtype=dtype, rngs=rngs)
        self.linear_2 = dense(width, width, dtype=dtype, rngs=rngs)
        self.dtype = dtype

    def __call__(self, t: Float[Array, " B"]) -> Float[Array, "B D"]:
        """Embedding of t. The released weights count the rates from 1, which the format kept."""
        wave = sinusoid(t, TIME_WIDTH, freq_shift=1)
        return self.linear_2(nnx.silu(self.linear_1(wave.astype(self.dtype))))


class ClassEmbedder(nnx.Module):
    """A learned row for each class, and a last one for "no class"."""

    def __init__(self, classes: int, width: int, *, dtype: Any, rngs: nnx.Rngs):
        self.embedding_table = nnx.Embed(
            classes + 1,
            width,
            dtype=dtype,
            embedding_init=nnx.initializers.normal(0.02),
            rngs=rngs,
        )

    def __call__(self, labels: Int[Array, " B"]) -> Float[Array, "B D"]:
        """The rows of `labels`."""
        return self.embedding_table(labels)


class Conditions(nnx.Module):
    """Timestep and class as one vector."""

    def __init__(self, config: DiTConfig, *, dtype: Any, rngs: nnx.Rngs):
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.timestep_embedder = TimestepEmbedder(config.width, **kind)
        self.class_embedder = ClassEmbedder(config.num_embeds_ada_norm, config.width, **kind)

    def __call__(self, t: Float[Array, " B"], labels: Int[Array, " B"]) -> Float[Array, "B D"]:
        """The sum of both embeddings."""
        return self.timestep_embedder(t) + self.class_embedder(labels)


class AdaptiveNorm(nnx.Module):
    """Shifts, scales and gates of one block from its conditions (section 3.2, adaLN-Zero)."""

    def __init__(self, config: DiTConfig, *, dtype: Any, rngs: nnx.Rngs):
        self.emb = Conditions(config, dtype=dtype, rngs=rngs)
        self.linear = dense(config.width, 6 * config.width, dtype=dtype, rngs=rngs)

    def __call__(self, t: Float[Array, " B"], labels: Int[Array, " B"]) -> list[Array]:
        """Shift, scale and gate of attention, then of the feed-forward, each [B, 1, D]."""
        return jnp.split(self.linear(nnx.silu(self.emb(t, labels)))[:, None, :], 6, axis=-1)


class GELU(nnx.Module):
    """gelu(x W + b), gelu by its tanh approximation."""

    def __init__(self, width: int, hidden: int, *, dtype: Any, rngs: nnx.Rngs):
        self.proj = dense(width, hidden, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B T E"]:
        """The hidden layer."""
        return jax.nn.gelu(self.proj(x), approximate=True)


class FeedForward(nnx.Module):
    """Two dense layers, four times as wide inside."""

    def __init__(self, width: int, *, dtype: Any, rngs: nnx.Rngs):
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.net = nnx.List(
            [GELU(width, 4 * width, **kind), Nothing(), dense(4 * width, width, **kind)]
        )

    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B T C"]:
        """W2 gelu(W1 x)."""
        return self.net[2](self.net[0](x))


class DiTBlock(nnx.Module):
    """x + gate attention(norm(x)), + gate feed_forward(norm(x)) (figure 3, adaLN-Zero)."""

    def __init__(self, config: DiTConfig, *, dtype: Any, rngs: nnx.Rngs):
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        width, heads = config.width, config.num_attention_heads
        self.norm1 = AdaptiveNorm(config, **kind)
        self.attn1 = Attention(width, width, heads, bias=config.attention_bias, **kind)
        self.ff = FeedForward(width, **kind)
        self.eps, self.dtype = config.norm_eps, dtype

    def __call__(
        self,
        x: Float[Array, "B T D"],
        t: Float[Array, " B"],
        labels: Int[Array, " B"],
        taps: Taps,
        name: str,
    ) -> Float[Array, "B T D"]:
        """Units are `<name>.attention` and `<name>.feed_forward`, before this step's own gates."""
        shift, scale, gate, ff_shift, ff_scale, ff_gate = self.norm1(t, labels)

        def attend() -> Array:
            h = normalised(x, 1e-6, self.dtype) * (1 + scale) + shift
            return self.attn1(h, h)

        x = x + gate * taps(f"{name}.attention", attend)

        def feed() -> Array:
            return self.ff(normalised(x, self.eps, self.dtype) * (1 + ff_scale) + ff_shift)

        return x + ff_gate * taps(f"{name}.feed_forward", feed)


def normalised(x: Float[Array, "B T D"], eps: float, dtype: Any) -> Float[Array, "B T D"]:
    """(x - mean) / sqrt(var + eps) over channels, in float32, without weights."""
    x = x.astype(jnp.float32)
    away = x - jnp.mean(x, axis=-1, keepdims=True)
    inverse = jax.lax.rsqrt(jnp.mean(away * away, axis=-1, keepdims=True) + eps)
    return (away * inverse).astype(dtype)
