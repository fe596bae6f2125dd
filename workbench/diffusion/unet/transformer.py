"""The transformer unit: attention within the image and to the context, gated feed-forward."""

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from kernels_pallas.attention import attention
from workbench.diffusion.unet.config import UNetConfig
from workbench.diffusion.unet.layers import Conv, GroupNorm, LayerNorm, dense
from workbench.diffusion.unet.taps import Taps
from workbench.row_blocks import by_rows

UNITS = ("self_attention", "cross_attention", "feed_forward")
"""Units of one transformer block, in execution order."""

KeysValues = tuple[Float[Array, "B S _ _"], Float[Array, "B S _ _"]]
"""Keys and values by head."""
Context = Float[Array, "B S K"] | Mapping[str, KeysValues]
"""What attention reads, or its keys and values by the name of the transformer block."""


class Attention(nnx.Module):
    """Multi-head attention: queries from the image, keys and values from `source`."""

    def __init__(
        self,
        width: int,
        source_width: int,
        heads: int,
        *,
        bias: bool = False,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        self.to_q = dense(width, width, bias=bias, dtype=dtype, rngs=rngs)
        self.to_k = dense(source_width, width, bias=bias, dtype=dtype, rngs=rngs)
        self.to_v = dense(source_width, width, bias=bias, dtype=dtype, rngs=rngs)
        self.to_out = nnx.List([dense(width, width, dtype=dtype, rngs=rngs)])
        self.heads = heads

    def __call__(
        self, x: Float[Array, "B T C"], source: Float[Array, "B S D"] | KeysValues
    ) -> Float[Array, "B T C"]:
        """softmax(q k^T / sqrt(d)) v, then the output projection.

        Args:
            x: what asks.
            source: what is attended to, or the `keys_values` of it.
        """
        keys, values = source if isinstance(source, tuple) else self.keys_values(source)
        out = attention(self._split(self.to_q(x)), keys, values)
        return self.to_out[0](out.reshape(x.shape))

    def keys_values(self, source: Float[Array, "B S D"]) -> KeysValues:
        """Keys and values [B, S, heads, C / heads]: of a text the same at every step."""
        return self._split(self.to_k(source)), self._split(self.to_v(source))

    def _split(self, a: Array) -> Array:
        return a.reshape(*a.shape[:2], self.heads, a.shape[2] // self.heads)


class GatedDense(nnx.Module):
    """value * gelu(gate) from one projection, gelu by the error function (Shazeer 2020, GEGLU)."""

    def __init__(self, width: int, hidden: int, *, dtype: Any, rngs: nnx.Rngs):
        self.proj = dense(width, 2 * hidden, dtype=dtype, rngs=rngs)
        self.hidden = hidden

    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B T E"]:
        """The gated hidden layer."""
        both = self.proj(x)
        value, gate = both[..., : self.hidden], both[..., self.hidden :]
        return value * gate * 0.5 * (1 + jax.lax.erf(gate * 0.5**0.5))


class Nothing(nnx.Module):
    """Holds the place of a layer without weights, so that the ones after it keep their number."""


class FeedForward(nnx.Module):
    """Gated feed-forward, four times as wide inside."""

    def __init__(self, width: int, *, dtype: Any, rngs: nnx.Rngs):
        self.net = nnx.List(
            [
                GatedDense(width, 4 * width, dtype=dtype, rngs=rngs),
                Nothing(),
                dense(4 * width, width, dtype=dtype, rngs=rngs),
            ]
        )

    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B T C"]:
        """W2 (value * gelu(gate))."""
        return by_rows(lambda rows: self.net[2](self.net[0](rows)), x, 8 * x.shape[2])


class TransformerBlock(nnx.Module):
    """x + self-attention, + cross-attention, + feed-forward, each after a layer norm."""

    def __init__(self, width: int, context_width: int, heads: int, *, dtype: Any, rngs: nnx.Rngs):
        self.norm1 = LayerNorm(width, eps=1e-5, dtype=dtype)
        self.norm2 = LayerNorm(width, eps=1e-5, dtype=dtype)
        self.norm3 = LayerNorm(width, eps=1e-5, dtype=dtype)
        self.attn1 = Attention(width, width, heads, dtype=dtype, rngs=rngs)
        self.attn2 = Attention(width, context_width, heads, dtype=dtype, rngs=rngs)
        self.ff = FeedForward(width, dtype=dtype, rngs=rngs)

    def __call__(
        self, x: Float[Array, "B T C"], context: Context, taps: Taps, name: str
    ) -> Float[Array, "B T C"]:
        """Residuals are the units `<name>.self_attention`, `.cross_attention`, `.feed_forward`."""
        source = context[name] if isinstance(context, Mapping) else context

        def self_attention() -> Array:
            h = self.norm1(x)
            return self.attn1(h, h)

        x = x + taps(f"{name}.self_attention", self_attention)
        x = x + taps(f"{name}.cross_attention", lambda: self.attn2(self.norm2(x), source))
        return x + taps(f"{name}.feed_forward", lambda: self.ff(self.norm3(x)))


class Transformer2D(nnx.Module):
    """Transformer blocks over the pixels of an image, between two projections."""

    def __init__(
        self,
        config: UNetConfig,
        channels: int,
        heads: int,
        depth: int,
        *,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        self.norm = GroupNorm(channels, config.norm_num_groups, eps=1e-6, dtype=dtype)
        self.transformer_blocks = nnx.List(
            TransformerBlock(channels, config.cross_attention_dim, heads, dtype=dtype, rngs=rngs)
            for _ in range(depth)
        )
        self.proj_in: nnx.Linear | Conv
        self.proj_out: nnx.Linear | Conv
        if config.use_linear_projection:
            self.proj_in = dense(channels, channels, dtype=dtype, rngs=rngs)
            self.proj_out = dense(channels, channels, dtype=dtype, rngs=rngs)
        else:
            self.proj_in = Conv(channels, channels, 1, dtype=dtype, rngs=rngs)
            self.proj_out = Conv(channels, channels, 1, dtype=dtype, rngs=rngs)

    def __call__(
        self, x: Float[Array, "B H W C"], context: Context, taps: Taps, name: str
    ) -> Float[Array, "B H W C"]:
        """x + proj_out(blocks(proj_in(norm(x)))); block d is `<name>.transformer.<d>`."""
        batch, height, width, channels = x.shape
        h = self.proj_in(self.norm(x)).reshape(batch, height * width, channels)
        for depth, block in enumerate(self.transformer_blocks):
            h = block(h, context, taps, f"{name}.transformer.{depth}")
        return x + self.proj_out(h.reshape(x.shape))
