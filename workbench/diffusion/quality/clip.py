"""CLIP (Radford et al. 2021): texts and images as unit vectors of one space, and CLIPScore.

Read from the user's own directory in transformers' layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from workbench.diffusion.quality.clip_config import CLIPConfig, CLIPVisionConfig
from workbench.diffusion.text.encoder import Layers, TextModel, end_of_text
from workbench.diffusion.text.tokens import Tokenizer
from workbench.diffusion.unet.layers import LayerNorm, dense
from workbench.model_files.part import Part
from workbench.progress import Report, silent

MEAN = (0.48145466, 0.4578275, 0.40821073)
SPREAD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of the channels of the images CLIP learnt from."""
WEIGHT = 2.5
BATCH = 8


class Patches(nnx.Module):
    """An image cut into squares, each a product of its pixels."""

    def __init__(self, config: CLIPVisionConfig, *, dtype: Any, rngs: nnx.Rngs):
        size = config.patch_size
        init = nnx.initializers.lecun_normal()
        self.kernel = nnx.Param(init(rngs.params(), (size, size, 3, config.hidden_size)))
        self.size, self.dtype = size, dtype

    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B P D"]:
        """One row a patch, row by row."""
        batch, height, width, _ = images.shape
        size = self.size
        cut = images.reshape(batch, height // size, size, width // size, size, 3)
        kernel = self.kernel[...].astype(self.dtype)
        rows = jnp.einsum("byixjc,ijcd->byxd", cut.astype(self.dtype), kernel)
        return rows.reshape(batch, -1, kernel.shape[-1])


class ImageEmbeddings(nnx.Module):
    """A learned first token, the patches, and a vector for each place."""

    def __init__(self, config: CLIPVisionConfig, *, dtype: Any, rngs: nnx.Rngs):
        width = config.hidden_size
        self.class_embedding = nnx.Param(
            nnx.initializers.normal(width**-0.5)(rngs.params(), (width,))
        )
        self.patch_embedding = Patches(config, dtype=dtype, rngs=rngs)
        self.position_embedding = nnx.Embed(config.patches + 1, width, dtype=dtype, rngs=rngs)

    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B T D"]:
        """The first layer's input."""
        rows = self.patch_embedding(images)
        first = self.class_embedding[...].astype(rows.dtype)[None, None]
        first = jnp.broadcast_to(first, (rows.shape[0], 1, rows.shape[2]))
        places = self.position_embedding(jnp.arange(rows.shape[1] + 1))
        return jnp.concatenate([first, rows], axis=1) + places[None]


class VisionModel(nnx.Module):
    """The image side; the misspelt name is the format's."""

    def __init__(self, config: CLIPVisionConfig, *, dtype: Any, rngs: nnx.Rngs):
        norm = partial(LayerNorm, config.hidden_size, eps=config.layer_norm_eps, dtype=dtype)
        self.embeddings = ImageEmbeddings(config, dtype=dtype, rngs=rngs)
        self.pre_layrnorm = norm()
        self.encoder = Layers(config, dtype=dtype, rngs=rngs)
        self.post_layernorm = norm()

    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B D"]:
        """The first token after the last layer and a norm."""
        _, last = self.encoder(self.pre_layrnorm(self.embeddings(images)))
        return self.post_layernorm(last[:, :1])[:, 0]


class CLIPNet(nnx.Module):
    """Both sides with their projections (section 2.3).

    Args:
        config: shape.
        dtype: what products run in.
        rngs: seeds of the initial weights.
    """

    def __init__(self, config: CLIPConfig, *, dtype: Any = jnp.float32, rngs: nnx.Rngs):
        self.config, self.dtype = config, jnp.dtype(dtype)
        kind: dict[str, Any] = {"dtype": self.dtype, "rngs": rngs}
        self.text_model = TextModel(config.text, **kind)
        self.vision_model = VisionModel(config.vision, **kind)
        width = config.projection_dim
        self.text_projection = dense(config.text.hidden_size, width, bias=False, **kind)
        self.visual_projection = dense(config.vision.hidden_size, width, bias=False, **kind)
        self.logit_scale = nnx.Param(jnp.asarray(np.log(1 / 0.07), jnp.float32))

    def texts(self, tokens: Int[Array, "B T"]) -> Float[Array, "B P"]:
        """Unit vectors of texts."""
        _, last = self.text_model(tokens)
        end = end_of_text(tokens, self.config.text.eos_token_id)
        return _unit(self.text_projection(last[jnp.arange(tokens.shape[0]), end]))

    def images(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B P"]:
        """Unit vectors of images in [0, 1] of any size: the middle square, resized."""
        size = self.config.vision.image_size
        _, height, width, _ = images.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = images[:, top : top + side, left : left + side]
        square = jax.image.resize(square, (images.shape[0], size, size, 3), "cubic")
        mean, spread = (jnp.asarray(v, jnp.float32)[None, None, None] for v in (MEAN, SPREAD))
        features = self.vision_model((jnp.clip(square, 0, 1) - mean) / spread)
        return _unit(self.visual_projection(features))


CLIP_PART = Part(
    CLIPNet,
    CLIPConfig,
    weights="model.safetensors",
    rename=lambda name: None if name.endswith("position_ids") else name,
)


class CLIP:
    """A network with its tokenizer and compiled calls."""

    def __init__(self, net: CLIPNet, tokenizer: Tokenizer):
        graph, self._weights = nnx.split(net)
        self.net, self.tokenizer = net, tokenizer
        self._texts = jax.jit(lambda weights, tokens: nnx.merge(graph, weights).texts(tokens))
        self._images = jax.jit(lambda weights, images: nnx.merge(graph, weights).images(images))

    @classmethod
    def load(cls, folder: str | Path, *, dtype: Any = "float32") -> CLIP:
        """Read a directory with `config.json`, `model.safetensors` and the tokenizer's files.

        Raises:
            CheckpointError: names the file, and what in it is missing or does not fit.
            ValueError: a configuration this model does not have; names field and value.
        """
        net: CLIPNet = CLIP_PART.load(folder, dtype=dtype)
        return cls(net, Tokenizer.load(folder))

    def texts(self, texts: Sequence[str]) -> Float[np.ndarray, "B P"]:
        """Unit vectors of texts."""
        return np.asarray(self._texts(self._weights, jnp.asarray(self.tokenizer(texts))))

    def images(
        self, images: Float[Array | np.ndarray, "B H W C"], report: Report = silent
    ) -> Float[np.ndarray, "B P"]:
        """Unit vectors of pictures in [0, 1], grey or RGB.

        Raises:
            ValueError: not pictures of 1 or 3 channels.
        """
        if images.shape[-1] not in (1, 3):
            raise ValueError(f"images have shape {images.shape}; needed [B, H, W, 1 or 3]")
        wide = np.broadcast_to(np.asarray(images, np.float32), (*images.shape[:3], 3))
        found = []
        for start in range(0, len(wide), BATCH):
            report(start, len(wide), "CLIP features")
            found.append(np.asarray(self._images(self._weights, wide[start : start + BATCH])))
        report(len(wide), len(wide), "CLIP features")
        return np.concatenate(found)


def clip_score(
    images: Float[np.ndarray, "B P"], texts: Float[np.ndarray, "B P"]
) -> Float[np.ndarray, " B"]:
    """CLIPScore, 2.5 max(cos(image, text), 0) (Hessel et al. 2021, section 3), one a picture.

    Papers on text-to-image give it so or as 100 cos; the prefix of the captioning paper, "A photo
    depicts", is left to the caller.

    Args:
        images: unit vectors of pictures.
        texts: the unit vector of each one's text.
    """
    return WEIGHT * np.maximum(np.sum(images * texts, axis=-1), 0)


def _unit(rows: Float[Array, "B P"]) -> Float[Array, "B P"]:
    rows = rows.astype(jnp.float32)
    return rows / jnp.linalg.norm(rows, axis=-1, keepdims=True)
