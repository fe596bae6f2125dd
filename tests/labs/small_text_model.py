"""A Stable Diffusion of the true structure, small and untrained, as a folder of diffusers."""

from __future__ import annotations

import os
from pathlib import Path

from tests.diffusion.text_models import filled
from tests.diffusion.vocabulary import vocabulary, write_tokenizer
from workbench.diffusion import checkpoint, save_pipeline
from workbench.diffusion.pipeline import Pipeline, flat_weights
from workbench.diffusion.plan import Plan
from workbench.diffusion.prompts import TextConditioning
from workbench.diffusion.schedulers import DDIM
from workbench.diffusion.text.config import CLIPTextConfig
from workbench.diffusion.text.tokens import Tokenizer
from workbench.diffusion.unet import UNetConfig
from workbench.diffusion.vae.config import AutoencoderConfig

UNET = UNetConfig(
    sample_size=8,
    block_out_channels=(8, 16),
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    layers_per_block=1,
    attention_head_dim=2,
    cross_attention_dim=16,
    norm_num_groups=4,
)
VAE = AutoencoderConfig(
    sample_size=16,
    block_out_channels=(8, 8),
    down_block_types=("DownEncoderBlock2D",) * 2,
    up_block_types=("UpDecoderBlock2D",) * 2,
    layers_per_block=1,
    norm_num_groups=4,
)


def write(folder: Path) -> Path:
    """The folder, whole."""
    words = vocabulary()
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=len(words) - 1,
        bos_token_id=len(words) - 2,
        pad_token_id=0,
    )
    tokenizer = Tokenizer.load(write_tokenizer(folder.with_name("vocabulary")))
    unet = filled(checkpoint.UNET.abstract(UNET), 1)
    encoder = filled(checkpoint.TEXT_ENCODER.abstract(text), 2)
    pipeline = Pipeline(
        name="small",
        config=UNET,
        weights=flat_weights(unet),
        conditioning=TextConditioning((tokenizer,), (encoder,)),
        scheduler=DDIM(),
        weights_hash="small",
        steps=4,
        guidance=2.0,
        plan=Plan.full(4),
        vae=filled(checkpoint.VAE.abstract(VAE), 3),
    )
    return save_pipeline(pipeline, folder)


if __name__ == "__main__":  # a browser test's kernel reads what this wrote
    print(write(Path(os.environ["SMALL_MODEL"])))
