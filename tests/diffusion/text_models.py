"""Text-to-image pipelines small enough to compile in seconds, of one text encoder or of two."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tests.diffusion.vocabulary import vocabulary, write_tokenizer
from workbench.diffusion.checkpoint import TEXT_ENCODER, UNET, VAE
from workbench.diffusion.pipeline import Pipeline, flat_weights
from workbench.diffusion.plan import Plan
from workbench.diffusion.prompts import TextConditioning
from workbench.diffusion.schedulers import DDIM
from workbench.diffusion.text.config import CLIPTextConfig
from workbench.diffusion.text.tokens import Tokenizer
from workbench.diffusion.unet import UNetConfig
from workbench.diffusion.vae import AutoencoderConfig

WIDTH, LENGTH = 8, 9
VAE_CONFIG = AutoencoderConfig(
    sample_size=16,
    block_out_channels=(8, 8),
    down_block_types=("DownEncoderBlock2D",) * 2,
    up_block_types=("UpDecoderBlock2D",) * 2,
    layers_per_block=1,
    norm_num_groups=4,
)


def unet_config(encoders: int) -> UNetConfig:
    """Two blocks, the outer without attention."""
    more: dict[str, Any] = {}
    if encoders > 1:
        more = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": WIDTH + 6 * 4,
        }
    return UNetConfig(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=encoders * WIDTH,
        attention_head_dim=2,
        **more,
    )


def text_config(projected: bool = False, **more: Any) -> CLIPTextConfig:
    """Two layers over the small vocabulary."""
    last = len(vocabulary()) - 1
    shape = {
        "vocab_size": last + 1,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": LENGTH,
        "projection_dim": WIDTH,
        "eos_token_id": last,
    }
    return CLIPTextConfig(projection=projected, **(shape | more))


def filled(model: Any, seed: int) -> Any:
    """An abstract model with weights drawn by numpy."""
    graph, state = nnx.split(model)
    draw = np.random.default_rng(seed)

    def fill(path: Any, leaf: Any) -> Any:
        values = draw.normal(size=leaf.shape)
        if path[-2].key == "kernel":
            values = values / np.sqrt(np.prod(leaf.shape[:-1]))
        elif path[-2].key in ("scale", "bias"):
            values = (path[-2].key == "scale") + 0.1 * values
        return jnp.asarray(values, leaf.dtype)

    return nnx.merge(graph, jax.tree_util.tree_map_with_path(fill, state))


def text_pipeline(folder: Path, encoders: int = 1, steps: int = 4) -> Pipeline:
    """DDIM with guidance 2; `folder` takes the vocabulary's files."""
    unet = filled(UNET.abstract(unet_config(encoders)), 1)
    configs = [text_config(projected=index == 1) for index in range(encoders)]
    places = [
        write_tokenizer(folder / str(i), pad="!" if i else "<|endoftext|>", length=LENGTH)
        for i in range(encoders)
    ]
    text = TextConditioning(
        tuple(Tokenizer.load(place) for place in places),
        tuple(filled(TEXT_ENCODER.abstract(c), 2 + i) for i, c in enumerate(configs)),
        zeros_for_empty=encoders > 1,
    )
    return Pipeline(
        name="tiny text",
        config=unet.config,
        weights=flat_weights(unet),
        conditioning=text,
        scheduler=DDIM(clip_sample=False),
        weights_hash=f"tiny text {encoders}",
        steps=steps,
        guidance=2.0,
        plan=Plan.full(steps),
        vae=filled(VAE.abstract(VAE_CONFIG), 9),
    )
