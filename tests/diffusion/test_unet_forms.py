"""Forms with conditions beside the context, a ControlNet's residuals, and published files."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.diffusion.conftest import random_unet
from workbench.diffusion.checkpoint import UNET
from workbench.diffusion.unet import AddedConditions, Residuals, UNet2DCondition, UNetConfig

TINY_SDXL = UNetConfig(
    sample_size=4,
    block_out_channels=(4, 8),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    transformer_layers_per_block=(0, 2),
    attention_head_dim=(1, 2),
    cross_attention_dim=6,
    norm_num_groups=2,
    use_linear_projection=True,
    addition_embed_type="text_time",
    addition_time_embed_dim=4,
    projection_class_embeddings_input_dim=3 + 6 * 4,
)


FIRST = "down.0.layer.0"
BRANCHES = (1, 3)
"""One that ends among the up layers, and the last, which keeps the mid block's output."""


@functools.cache
def _unet() -> UNet2DCondition:
    return random_unet(TINY_SDXL)


def _inputs() -> tuple[Any, Any, Any, AddedConditions]:
    draw = np.random.default_rng(0)
    x, context = draw.normal(size=(2, 8, 4, 4)), draw.normal(size=(2, 3, 6))
    sizes = [[64, 48, 0, 0, 64, 64], [512, 768, 8, 16, 256, 256]]
    pooled = draw.normal(size=(2, 3))
    return (
        jnp.asarray(x, jnp.float32),
        jnp.asarray([7.0, 801.0]),
        jnp.asarray(context, jnp.float32),
        AddedConditions(jnp.asarray(pooled, jnp.float32), jnp.asarray(sizes, jnp.float32)),
    )


def _residuals(seed: int = 1) -> Residuals:
    x, t, context, added = _inputs()
    graph, weights = nnx.split(_unet())
    features = jax.eval_shape(
        lambda w: nnx.merge(graph, w).encode(x, t, context, added=added), weights
    )
    draw = np.random.default_rng(seed)
    values = [jnp.asarray(draw.normal(size=f.shape), jnp.float32) for f in features.skips]
    mid = jnp.asarray(draw.normal(size=features.mid.shape), jnp.float32)
    return Residuals(tuple(values), mid)


@functools.cache
def _passes() -> dict[str, Any]:
    """Every way to the same prediction, in one program."""
    graph, weights = nnx.split(_unet())

    def run(weights: Any, residuals: Residuals) -> dict[str, Any]:
        unet = nnx.merge(graph, weights)
        x, t, context, added = _inputs()
        both: dict[str, Any] = {"added": added, "residuals": residuals}
        found = {
            "plain": unet(x, t, context, added=added),
            "whole": unet(x, t, context, **both),
            "halves": unet.decode(*unet.encode(x, t, context, **both), t, context, added=added),
        }
        others = {
            "added": added,
            "elsewhere": added._replace(time_ids=added.time_ids + 9),
            "other text": added._replace(pooled=added.pooled + 1),
        }
        for name, other in others.items():
            found[name] = unet.run(x, t, context, wanted=(FIRST,), added=other)[FIRST]
        for branch in BRANCHES:
            eps, cached = unet.full(x, t, context, branch, **both)
            found[f"full {branch}"] = eps
            found[f"shallow {branch}"] = unet.shallow(x, t, context, cached, branch, **both)
        return found

    quick = {"xla_backend_optimization_level": 0}
    return jax.jit(run, compiler_options=quick)(weights, _residuals())


@pytest.mark.slow
@pytest.mark.long
def test_halves_with_added_conditions_and_residuals_are_the_call() -> None:
    found = _passes()
    np.testing.assert_allclose(found["halves"], found["whole"], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("branch", BRANCHES)
def test_shallow_with_a_fresh_cache_is_the_full_pass(branch: int) -> None:
    found = _passes()
    np.testing.assert_allclose(found[f"full {branch}"], found["whole"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[f"shallow {branch}"], found["whole"], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "before"),
    [("whole", "plain"), ("elsewhere", "added"), ("other text", "added")],
)
def test_each_condition_is_read(changed: str, before: str) -> None:
    found = _passes()
    assert np.abs(found[changed] - found[before]).max() > 1e-3


def test_encode_gives_the_skips_with_their_residuals() -> None:
    """Values by name are without them; the encoder's result is with them."""
    graph, weights = nnx.split(_unet())
    residuals = _residuals()

    def run(weights: Any) -> Any:
        unet = nnx.merge(graph, weights)
        x, t, context, added = _inputs()
        given = {"added": added, "residuals": residuals}
        names = (*unet.program.skips, "mid")
        return unet.encode(x, t, context, **given), unet.run(x, t, context, wanted=names, **given)

    features, bare = jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})(weights)
    skips = _unet().program.skips
    for name, skip, residual in zip(skips, features.skips, residuals.skips, strict=True):
        np.testing.assert_allclose(skip, bare[name] + residual, rtol=0, atol=1e-5)
    np.testing.assert_allclose(features.mid, bare["mid"] + residuals.mid, rtol=0, atol=1e-5)


def test_refusals(unchecked_shapes: None) -> None:
    x, t, context, added = _inputs()
    unet, plain = _unet(), random_unet()
    with pytest.raises(ValueError, match=r"added is None; this UNet reads .*'pooled': \(2, 3\)"):
        unet(x, t, context)
    with pytest.raises(ValueError, match=r"added\.pooled has shape \(1, 3\); needed \(2, 3\)"):
        unet(x, t, context, added=added._replace(pooled=added.pooled[:1]))
    with pytest.raises(ValueError, match=r"added\.time_ids has shape \(2, 5\); needed \(2, 6\)"):
        unet(x, t, context, added=added._replace(time_ids=added.time_ids[:, :5]))
    with pytest.raises(ValueError, match="reads a context only"):
        plain(jnp.zeros((2, 8, 8, 1)), t, jnp.zeros((2, 3, 8)), added=added)
    short = Residuals((x, x), x)
    with pytest.raises(ValueError, match="residuals have 2 skips; this UNet has 4"):
        unet(x, t, context, added=added, residuals=short)


STABLE_15 = {
    "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.6.0", "act_fn": "silu",
    "attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False, "cross_attention_dim": 768,
    "down_block_types": [
        "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D",
    ],
    "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4,
    "layers_per_block": 2, "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": 32,
    "out_channels": 4, "sample_size": 64,
    "up_block_types": [
        "UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
    ],
}  # fmt: skip
STABLE_21 = STABLE_15 | {
    "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024,
    "dual_cross_attention": False, "only_cross_attention": False, "num_class_embeds": None,
    "sample_size": 96, "upcast_attention": True, "use_linear_projection": True,
}  # fmt: skip
TURBO = STABLE_21 | {
    "addition_embed_type": None, "addition_embed_type_num_heads": 64,
    "addition_time_embed_dim": None, "attention_type": "default", "class_embed_type": None,
    "class_embeddings_concat": False, "conv_in_kernel": 3, "conv_out_kernel": 3,
    "cross_attention_norm": None, "dropout": 0.0, "encoder_hid_dim": None,
    "encoder_hid_dim_type": None, "mid_block_only_cross_attention": None,
    "mid_block_type": "UNetMidBlock2DCrossAttn", "num_attention_heads": None,
    "projection_class_embeddings_input_dim": None, "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False, "resnet_time_scale_shift": "default",
    "reverse_transformer_layers_per_block": None, "sample_size": 64, "time_cond_proj_dim": None,
    "time_embedding_act_fn": None, "time_embedding_dim": None,
    "time_embedding_type": "positional", "timestep_post_act": None,
    "transformer_layers_per_block": 1, "upcast_attention": None,
}  # fmt: skip
SDXL = TURBO | {
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20], "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "projection_class_embeddings_input_dim": 2816, "sample_size": 128,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
}  # fmt: skip


def test_fields_of_published_files() -> None:
    assert UNetConfig.from_file_fields(STABLE_15) == UNetConfig()
    second, turbo, sdxl = map(UNetConfig.from_file_fields, (STABLE_21, TURBO, SDXL))
    assert second.heads == (5, 10, 20, 20)
    assert turbo == second.model_copy(update={"sample_size": 64, "upcast_attention": False})
    assert sdxl.pooled_width == 1280
    assert sdxl.depths == (1, 2, 10)
    for config in (second, turbo, sdxl):
        assert UNetConfig.from_file_fields(config.to_file_fields()) == config


def test_a_field_left_out_means_what_the_format_means() -> None:
    fields = {k: v for k, v in STABLE_15.items() if k not in ("cross_attention_dim", "sample_size")}
    config = UNetConfig.from_file_fields(fields)
    assert config.cross_attention_dim == 1280
    assert config.sample_size is None


def test_keys_of_sdxl() -> None:
    from workbench.diffusion.checkpoint import file_shapes

    shapes = file_shapes(UNET.abstract(UNetConfig.from_file_fields(SDXL)))
    assert len(shapes) == 1680
    assert shapes["add_embedding.linear_1.weight"] == (1280, 2816)
    assert shapes["mid_block.attentions.0.transformer_blocks.9.attn2.to_k.weight"] == (1280, 2048)
    assert not any(name.startswith("down_blocks.0.attentions") for name in shapes)
