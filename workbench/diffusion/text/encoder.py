"""CLIP's text encoder: tokens to the features a diffusion model attends to."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from kernels_pallas.attention import attention
from workbench.diffusion.text.config import CLIPTextConfig, Tower
from workbench.diffusion.unet.layers import LayerNorm, dense

MISLABELLED_END = 2
"""The end token's number in old files, which no text ends with."""


class TextFeatures(NamedTuple):
    """What is read from a text."""

    last: Float[Array, "B T D"]
    """After the last layer and the final norm: what Stable Diffusion 1 and 2 attend to."""
    penultimate: Float[Array, "B T D"]
    """Before the last layer, without a norm: what SDXL attends to."""
    pooled: Float[Array, "B P"]
    """The end token's features after the final norm, projected where the model does so."""


class Embeddings(nnx.Module):
    """A vector for each token and one for each place, added."""

    def __init__(self, config: CLIPTextConfig, *, dtype: Any, rngs: nnx.Rngs):
        width = config.hidden_size
        self.token_embedding = nnx.Embed(config.vocab_size, width, dtype=dtype, rngs=rngs)
        self.position_embedding = nnx.Embed(
            config.max_position_embeddings, width, dtype=dtype, rngs=rngs
        )

    def __call__(self, tokens: Int[Array, "B T"]) -> Float[Array, "B T D"]:
        """The first layer's input."""
        places = jnp.arange(tokens.shape[1])
        return self.token_embedding(tokens) + self.position_embedding(places)[None]


class SelfAttention(nnx.Module):
    """Multi-head attention; in a text to oneself and the tokens before."""

    def __init__(self, config: Tower, *, dtype: Any, rngs: nnx.Rngs):
        width, self.heads = config.hidden_size, config.num_attention_heads
        self.causal = config.causal
        kind: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.q_proj, self.k_proj = dense(width, width, **kind), dense(width, width, **kind)
        self.v_proj, self.out_proj = dense(width, width, **kind), dense(width, width, **kind)

    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """softmax(q k^T / sqrt(d)) v, causal in a text, then the output projection."""
        batch, length, width = x.shape
        by_head = (batch, length, self.heads, width // self.heads)
        q, k, v = (p(x).reshape(by_head) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(attention(q, k, v, causal=self.causal).reshape(x.shape))


class MLP(nnx.Module):
    """Two dense layers; quick gelu is x sigmoid(1.702 x) (Hendrycks & Gimpel 2016, section 2)."""

    def __init__(self, config: Tower, *, dtype: Any, rngs: nnx.Rngs):
        self.fc1 = dense(config.hidden_size, config.intermediate_size, dtype=dtype, rngs=rngs)
        self.fc2 = dense(config.intermediate_size, config.hidden_size, dtype=dtype, rngs=rngs)
        self.quick = config.hidden_act == "quick_gelu"

    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """W2 gelu(W1 x)."""
        h = self.fc1(x)
        h = h * jax.nn.sigmoid(1.702 * h) if self.quick else jax.nn.gelu(h, approximate=False)
        return self.fc2(h)


class EncoderLayer(nnx.Module):
    """x + self-attention, + MLP, each after a layer norm."""

    def __init__(self, config: Tower, *, dtype: Any, rngs: nnx.Rngs):
        width, eps = config.hidden_size, config.layer_norm_eps
        self.layer_norm1 = LayerNorm(width, eps=eps, dtype=dtype)
        self.self_attn = SelfAttention(config, dtype=dtype, rngs=rngs)
        self.layer_norm2 = LayerNorm(width, eps=eps, dtype=dtype)
        self.mlp = MLP(config, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """The layer's output."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Layers(nnx.Module):
    """The stack of layers."""

    def __init__(self, config: Tower, *, dtype: Any, rngs: nnx.Rngs):
        self.layers = nnx.List(
            EncoderLayer(config, dtype=dtype, rngs=rngs) for _ in range(config.num_hidden_layers)
        )

    def __call__(self, x: Float[Array, "B T D"]) -> tuple[Array, Array]:
        """The last layer's input and its output."""
        *before, last = self.layers
        for layer in before:
            x = layer(x)
        return x, last(x)


class TextModel(nnx.Module):
    """Embeddings, layers, final norm."""

    def __init__(self, config: CLIPTextConfig, *, dtype: Any, rngs: nnx.Rngs):
        self.embeddings = Embeddings(config, dtype=dtype, rngs=rngs)
        self.encoder = Layers(config, dtype=dtype, rngs=rngs)
        self.final_layer_norm = LayerNorm(
            config.hidden_size, eps=config.layer_norm_eps, dtype=dtype
        )

    def __call__(self, tokens: Int[Array, "B T"]) -> tuple[Array, Array]:
        """Penultimate features, and the last ones after the final norm."""
        penultimate, last = self.encoder(self.embeddings(tokens))
        return penultimate, self.final_layer_norm(last)


class CLIPTextEncoder(nnx.Module):
    """Causal transformer over a text (Radford et al. 2021, section 2.4), transformers' family.

    Args:
        config: shape.
        dtype: what products run in; parameters, norms and softmax are float32.
        rngs: seeds of the initial weights.
    """

    def __init__(self, config: CLIPTextConfig, *, dtype: Any = jnp.float32, rngs: nnx.Rngs):
        self.config, self.dtype = config, jnp.dtype(dtype)
        self.text_model = TextModel(config, dtype=self.dtype, rngs=rngs)
        if config.projection:
            self.text_projection = dense(
                config.hidden_size, config.projection_dim, bias=False, dtype=self.dtype, rngs=rngs
            )

    def __call__(self, tokens: Int[Array, "B T"]) -> TextFeatures:
        """Features of texts, float32.

        Args:
            tokens: whole texts with their start and end, padded to one length.

        Raises:
            ValueError: another shape, or texts longer than the model has places.
        """
        most = self.config.max_position_embeddings
        if tokens.ndim != 2 or not 1 <= tokens.shape[1] <= most:
            raise ValueError(f"tokens have shape {tokens.shape}; needed [B, T], T from 1 to {most}")
        penultimate, last = self.text_model(tokens)
        pooled = last[jnp.arange(tokens.shape[0]), end_of_text(tokens, self.config.eos_token_id)]
        if self.config.projection:
            pooled = self.text_projection(pooled)
        return TextFeatures(*(f.astype(jnp.float32) for f in (last, penultimate, pooled)))


def end_of_text(tokens: Int[Array, "B T"], end: int) -> Int[Array, " B"]:
    """Place of each text's end token: the first, where padding repeats it.

    Where a file mislabels it, the largest token of all is taken for it.
    """
    return jnp.argmax(tokens if end == MISLABELLED_END else tokens == end, axis=1)
