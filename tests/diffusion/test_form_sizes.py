"""Parameters and multiply-accumulates of published forms, counted without making one.

Oracles: the counts of diffusers' and transformers' own models, and table 1 of "On the Scalability
of Diffusion-based Text-to-Image Generation" (Li et al. 2024). Two rows of that table, IF-XL C512
(2.04 B, 194 GMACs) and C704 (3.83 B, 364 GMACs), have no form here: DeepFloyd IF's UNet scales and
shifts by time, resamples inside its ResNets, and attends to pixels and text in one softmax.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.diffusion.checkpoint import TEXT_ENCODER, UNET, VAE
from workbench.diffusion.text.config import CLIPTextConfig
from workbench.diffusion.unet import AddedConditions, UNetConfig
from workbench.diffusion.vae import AutoencoderConfig
from workbench.measure.macs import MacCount, count

Shape = jax.ShapeDtypeStruct
SLOW = pytest.mark.slow

STABLE_15 = UNetConfig()
STABLE_21 = UNetConfig(
    attention_head_dim=(5, 10, 20, 20), cross_attention_dim=1024, use_linear_projection=True
)
SDXL_TYPES: dict[str, Any] = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "use_linear_projection": True,
}
SDXL = UNetConfig(
    block_out_channels=(320, 640, 1280),
    transformer_layers_per_block=(1, 2, 10),
    attention_head_dim=(5, 10, 20),
    cross_attention_dim=2048,
    addition_embed_type="text_time",
    addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2816,
    **SDXL_TYPES,
)
CLIP_L = CLIPTextConfig()
OPEN_CLIP_H = CLIPTextConfig(
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=23,
    num_attention_heads=16,
    hidden_act="gelu",
)
OPEN_CLIP_G = CLIPTextConfig(
    hidden_size=1280,
    intermediate_size=5120,
    num_hidden_layers=32,
    num_attention_heads=20,
    hidden_act="gelu",
    projection=True,
    projection_dim=1280,
)


def _parameters(model: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


@pytest.fixture(autouse=True)
def _trace_at_full_speed(unchecked_shapes: None) -> None:
    """Checking the shapes of thousands of calls takes longer than tracing them."""


@functools.cache
def _abstract(config: UNetConfig) -> Any:
    return UNET.abstract(config)


@functools.cache
def _unet(config: UNetConfig, side: int) -> tuple[int, MacCount]:
    """Parameters and the count of one pass over one latent with 77 tokens."""
    unet = _abstract(config)
    graph, weights = nnx.split(unet)
    added = None
    if config.pooled_width:
        added = AddedConditions(
            Shape((1, config.pooled_width), jnp.float32), Shape((1, 6), jnp.float32)
        )
    inputs = (
        Shape((1, side, side, 4), jnp.float32),
        Shape((), jnp.float32),
        Shape((1, 77, config.cross_attention_dim), jnp.float32),
        added,
    )

    def forward(weights: Any, x: Any, t: Any, context: Any, added: Any) -> Any:
        return nnx.merge(graph, weights)(x, t, context, added=added)

    return _parameters(unet), count(forward, weights, *inputs, weights=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "side", "millions", "full", "no_bmm"),
    [
        pytest.param(STABLE_15, 64, 859.5, 401.6, 338.6, id="stable 1.5"),
        pytest.param(STABLE_21, 64, 865.9, 402.1, 339.1, id="stable 2.1", marks=SLOW),
        pytest.param(SDXL, 128, 2567.5, 3380.6, 2988.6, id="sdxl", marks=SLOW),
    ],
)
def test_unets(config: UNetConfig, side: int, millions: float, full: float, no_bmm: float) -> None:
    parameters, macs = _unet(config, side)
    assert parameters / 1e6 == pytest.approx(millions, abs=0.05)
    assert macs.total / 1e9 == pytest.approx(full, abs=0.1)
    assert macs.no_bmm / 1e9 == pytest.approx(no_bmm, abs=0.1)
    assert not macs.uncounted


@SLOW
def test_larger_latents() -> None:
    """At 96 x 96 attention pads the 576 rows of a level to whole blocks: a little on top."""
    _, macs = _unet(STABLE_21, 96)
    assert macs.no_bmm / 1e9 == pytest.approx(760.5, abs=0.1)
    assert 1074.5 <= macs.total / 1e9 <= 1.005 * 1074.6


def _sdxl_form(width: int, shallow: int, deep: int) -> UNetConfig:
    """SDXL's form without its pooled prompt: the study's text encoder gives none."""
    return UNetConfig(
        block_out_channels=(width, 2 * width, 4 * width),
        transformer_layers_per_block=(1, shallow, deep),
        attention_head_dim=8,
        cross_attention_dim=1024,
        **SDXL_TYPES,
    )


STABLE_2_WIDE = STABLE_21.model_copy(
    update={
        "block_out_channels": (512, 1024, 2048, 2048),
        "attention_head_dim": (8, 16, 32, 32),
    }
)
STUDY = {
    # name: (form, parameters in 1e9, GMACs without attention products, with them where known)
    "C128": (_sdxl_form(128, 2, 10), 0.42, 35, 36),
    "C192": (_sdxl_form(192, 2, 10), 0.90, 75, 76),
    "SDXL": (_sdxl_form(320, 2, 10), 2.39, 198, 201),
    "C384": (_sdxl_form(384, 2, 10), 3.40, 282, 285),
    "TD2": (_sdxl_form(320, 2, 2), 0.85, 98, 99),
    "TD4": (_sdxl_form(320, 2, 4), 1.24, 123, 125),
    "TD4_4": (_sdxl_form(320, 4, 4), 1.32, 143, 146),
    "TD12": (_sdxl_form(320, 2, 12), 2.78, 223, None),
    "TD14": (_sdxl_form(320, 2, 14), 3.16, 248, 251),
    "TD4_8": (_sdxl_form(320, 4, 8), 2.09, 193, 196),
    "TD4_12": (_sdxl_form(320, 4, 12), 2.86, 243, 247),
    "C384-TD4_12": (_sdxl_form(384, 4, 12), 4.07, 346, None),
    "SD2": (STABLE_21, 0.87, 86, None),
    "SD2-C512": (STABLE_2_WIDE, 2.19, 219, None),
}


def _agrees(
    parameters: float, full: float, no_bmm: float, printed: tuple[float, float, float | None]
) -> None:
    """To the two or three digits of the table."""
    assert parameters / 1e9 == pytest.approx(printed[0], abs=0.0101)
    assert no_bmm / 1e9 == pytest.approx(printed[1], abs=1.0)
    if printed[2] is not None:
        assert full / 1e9 == pytest.approx(printed[2], abs=1.0)


@SLOW
@pytest.mark.parametrize("name", STUDY)
def test_table_of_the_scalability_study(name: str) -> None:
    """256 pixels, so latents of 32 x 32."""
    config, *printed = STUDY[name]
    parameters, macs = _unet(config, 32)
    _agrees(parameters, macs.total, macs.no_bmm, tuple(printed))


def _sizes(name: str) -> np.ndarray:
    """Parameters and both counts of a form that was counted."""
    parameters, macs = _unet(STUDY[name][0], 32)
    return np.asarray([parameters, macs.total, macs.no_bmm])


@SLOW
def test_what_the_study_says_of_its_best_form() -> None:
    saved = 1 - _sizes("TD4_4") / _sizes("SDXL")
    assert saved[0] == pytest.approx(0.45, abs=0.005)
    assert saved[2] == pytest.approx(0.28, abs=0.005)


def test_autoencoder() -> None:
    vae = VAE.abstract(AutoencoderConfig())
    assert _parameters(vae.encoder) / 1e6 == pytest.approx(34.16, abs=0.005)
    assert _parameters(vae.decoder) / 1e6 == pytest.approx(49.49, abs=0.005)
    assert _parameters(vae) / 1e6 == pytest.approx(83.65, abs=0.005)
    graph, weights = nnx.split(vae)

    def macs(way: str, side: int, channels: int) -> float:
        value = Shape((1, side, side, channels), jnp.float32)

        def run(weights: Any, x: Any) -> Any:
            return getattr(nnx.merge(graph, weights), way)(x)

        return count(run, weights, value, weights=0).total / 1e9

    assert macs("encode", 512, 3) == pytest.approx(558, abs=0.5)
    assert macs("decode", 64, 4) == pytest.approx(1257, abs=0.5)


@pytest.mark.parametrize(
    ("config", "tensors", "millions"),
    [(CLIP_L, 196, 123.06), (OPEN_CLIP_H, 372, 340.4), (OPEN_CLIP_G, 517, 694.66)],
    ids=["clip l", "open clip h", "open clip g"],
)
def test_text_encoders(config: CLIPTextConfig, tensors: int, millions: float) -> None:
    encoder = TEXT_ENCODER.abstract(config)
    assert len(jax.tree.leaves(nnx.state(encoder, nnx.Param))) == tensors
    assert _parameters(encoder) / 1e6 == pytest.approx(millions, abs=0.05)
    tokens = Shape((2, 77), jnp.int32)
    graph, weights = nnx.split(encoder)
    features = jax.eval_shape(lambda w, tokens: nnx.merge(graph, w)(tokens), weights, tokens)
    assert features.last.shape == features.penultimate.shape == (2, 77, config.hidden_size)
    assert features.pooled.shape == (2, config.pooled_width)
