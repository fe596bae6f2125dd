"""Small pipelines of every form with random weights, written by diffusers itself."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from tests.diffusion.vocabulary import LAST, vocabulary, write_tokenizer

NOISE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
WIDTH, WIDTH_2 = 64, 128


def unet(form: str) -> UNet2DConditionModel:
    """Two blocks; widths are multiples of 64, as heads of Stable Diffusion 2 and XL are 64 wide."""
    if form == "XL":
        return UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(64, 128),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            transformer_layers_per_block=(1, 2),
            attention_head_dim=(1, 2),
            cross_attention_dim=WIDTH + WIDTH_2,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=WIDTH_2 + 6 * 256,
        )
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(64, 128),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=8 if form == "1" else (1, 2),
        cross_attention_dim=WIDTH if form == "1" else WIDTH_2,
        use_linear_projection=form == "2",
    )


def vae(form: str) -> AutoencoderKL:
    """Two levels."""
    return AutoencoderKL(
        sample_size=32,
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        scaling_factor=0.13025 if form == "XL" else 0.18215,
    )


def text_encoder(width: int, act: str, projected: bool) -> Any:
    """Three layers, with the small vocabulary's own marks."""
    words = vocabulary()
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=width // 64,
        max_position_embeddings=77,
        hidden_act=act,
        projection_dim=width,
        eos_token_id=words[LAST],
        bos_token_id=words[LAST] - 1,
        pad_token_id=0,
    )
    model = CLIPTextModelWithProjection if projected else CLIPTextModel
    return model(config)


def pipeline(form: str, folder: Path) -> Any:
    """A pipeline of Stable Diffusion "1", "2", "XL", "turbo" (2 with Euler, trailing), or of
    "XL turbo" (with Euler ancestral, trailing)."""
    torch.manual_seed(0)
    family = {"turbo": "2", "XL turbo": "XL"}.get(form, form)
    open_clip = family != "1"
    if form == "XL turbo":
        sampler: Any = EulerAncestralDiscreteScheduler(
            **NOISE, timestep_spacing="trailing", steps_offset=1
        )
    elif form in ("turbo", "XL"):
        spacing = "trailing" if form == "turbo" else "leading"
        sampler = EulerDiscreteScheduler(**NOISE, timestep_spacing=spacing, steps_offset=1)
    else:
        sampler = DDIMScheduler(
            **NOISE,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type="v_prediction" if form == "2" else "epsilon",
        )
    plain = CLIPTokenizer.from_pretrained(write_tokenizer(folder / "plain"))
    padded = CLIPTokenizer.from_pretrained(write_tokenizer(folder / "padded", pad="!"))
    shared = {"unet": unet(family), "vae": vae(family), "scheduler": sampler}
    if family == "XL":
        return StableDiffusionXLPipeline(
            text_encoder=text_encoder(WIDTH, "quick_gelu", False),
            text_encoder_2=text_encoder(WIDTH_2, "gelu", True),
            tokenizer=plain,
            tokenizer_2=padded,
            add_watermarker=False,
            **shared,
        )
    return StableDiffusionPipeline(
        text_encoder=text_encoder(WIDTH, "quick_gelu", False)
        if family == "1"
        else text_encoder(WIDTH_2, "gelu", False),
        tokenizer=padded if open_clip else plain,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **shared,
    )
