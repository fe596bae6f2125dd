"""The autoencoder's shape, scaling and refusals; its arithmetic is held against diffusers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.diffusion.checkpoint import VAE, file_shapes
from workbench.diffusion.vae import AutoencoderConfig, AutoencoderKL, Moments

Shape = jax.ShapeDtypeStruct
SMALL = AutoencoderConfig(
    block_out_channels=(4, 8),
    down_block_types=("DownEncoderBlock2D",) * 2,
    up_block_types=("UpDecoderBlock2D",) * 2,
    layers_per_block=1,
    norm_num_groups=2,
)


def _abstract(way: str, config: AutoencoderConfig, shape: tuple[int, ...], dtype=jnp.float32):
    graph, weights = nnx.split(VAE.abstract(config, dtype=dtype))

    def run(weights, value):
        return getattr(nnx.merge(graph, weights), way)(value)

    return jax.eval_shape(run, weights, Shape(shape, jnp.float32))


def test_keys_and_shapes_of_stable_diffusion() -> None:
    shapes = file_shapes(VAE.abstract(AutoencoderConfig()))
    assert len(shapes) == 248
    for name, shape in {
        "encoder.conv_in.weight": (128, 3, 3, 3),
        "encoder.down_blocks.1.resnets.0.conv_shortcut.weight": (256, 128, 1, 1),
        "encoder.down_blocks.2.downsamplers.0.conv.weight": (512, 512, 3, 3),
        "encoder.mid_block.attentions.0.group_norm.weight": (512,),
        "decoder.mid_block.attentions.0.to_q.bias": (512,),
        "decoder.mid_block.attentions.0.to_out.0.weight": (512, 512),
        "decoder.up_blocks.2.resnets.2.conv1.weight": (256, 256, 3, 3),
        "decoder.up_blocks.0.upsamplers.0.conv.weight": (512, 512, 3, 3),
        "decoder.conv_out.weight": (3, 128, 3, 3),
        "quant_conv.weight": (8, 8, 1, 1),
        "post_quant_conv.bias": (4,),
    }.items():
        assert shapes[name] == shape, name
    assert not any("time_emb" in name for name in shapes)


@pytest.mark.slow
def test_eight_pixels_to_one() -> None:
    config = AutoencoderConfig()
    assert config.stride == 8
    moments = _abstract("encode", config, (2, 64, 48, 3))
    assert moments.mean.shape == moments.log_variance.shape == (2, 8, 6, 4)
    picture = _abstract("decode", config, (2, 8, 6, 4), dtype="bfloat16")
    assert picture.shape == (2, 64, 48, 3)
    assert picture.dtype == jnp.float32


def test_log_variance_is_bounded() -> None:
    """All weights zero but a bias far outside: it comes out at the bounds."""
    config = SMALL.model_copy(
        update={
            "block_out_channels": (4,),
            "down_block_types": ("DownEncoderBlock2D",),
            "up_block_types": ("UpDecoderBlock2D",),
            "mid_block_add_attention": False,
        }
    )
    shapes = file_shapes(VAE.abstract(config))
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    tensors["quant_conv.bias"][4:6] = [-99.0, 99.0]
    graph, weights = nnx.split(VAE.build(config, tensors, dtype="float32"))
    encode = jax.jit(
        lambda weights, x: nnx.merge(graph, weights).encode(x),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    found = encode(weights, jnp.zeros((1, 4, 4, 3)))
    np.testing.assert_array_equal(found.log_variance[0, 0, 0], [-30, 20, 0, 0])
    np.testing.assert_array_equal(found.mean[0, 0, 0], 0)


@pytest.mark.slow
def test_a_sample_has_its_moments() -> None:
    moments = Moments(jnp.full((1, 90, 90, 4), 3.0), jnp.full((1, 90, 90, 4), np.log(0.25)))
    drawn = np.asarray(moments.sample(jax.random.key(0)))
    assert drawn.mean() == pytest.approx(3.0, abs=0.02)
    assert drawn.std() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("changes", "scaled"),
    [
        ({}, [2 * 0.18215] * 4),
        ({"scaling_factor": 0.13025}, [2 * 0.13025] * 4),
        ({"shift_factor": 0.5, "scaling_factor": 0.2}, [0.3] * 4),
        (
            {
                "latents_mean": (0.0, 1.0, 2.0, 3.0),
                "latents_std": (1.0, 2.0, 4.0, 0.5),
                "scaling_factor": 0.5,
            },
            [1.0, 0.25, 0.0, -1.0],
        ),
    ],
)
def test_scaling_by_hand(changes: dict, scaled: list[float]) -> None:
    vae = AutoencoderKL.__new__(AutoencoderKL)  # scaling reads the configuration alone
    object.__setattr__(vae, "config", SMALL.model_copy(update=changes))
    z = jnp.full((1, 2, 2, 4), 2.0)
    np.testing.assert_allclose(vae.scaled(z)[0, 0, 0], scaled, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(vae.unscaled(vae.scaled(z)), z, rtol=1e-6)


PUBLISHED = {
    "stable 1.5": {
        "_class_name": "AutoencoderKL", "_diffusers_version": "0.6.0", "act_fn": "silu",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3, "latent_channels": 4,
        "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3, "sample_size": 512,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    },
    "sdxl": {
        "_class_name": "AutoencoderKL", "_diffusers_version": "0.20.0.dev0",
        "_name_or_path": "a/folder", "act_fn": "silu",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4, "force_upcast": True, "in_channels": 3,
        "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3,
        "sample_size": 1024, "scaling_factor": 0.13025, "up_block_types": ["UpDecoderBlock2D"] * 4,
    },
}  # fmt: skip


def test_fields_of_published_files() -> None:
    first = AutoencoderConfig.from_file_fields(PUBLISHED["stable 1.5"])
    assert first == AutoencoderConfig()
    sdxl = AutoencoderConfig.from_file_fields(PUBLISHED["sdxl"])
    assert sdxl.scaling_factor == 0.13025
    assert AutoencoderConfig.from_file_fields(sdxl.to_file_fields()) == sdxl


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"act_fn": "mish"}, "VAE config field act_fn='mish' is not supported"),
        ({"scaling_facter": 1.0}, "did you mean scaling_factor"),
        ({"block_out_channels": [64, 64]}, "down_block_types=.* has 1 entries"),
        ({"block_out_channels": [48]}, "48 is not a multiple of norm_num_groups=32"),
        ({"latents_mean": [0, 0, 0, 0]}, "latents_mean and latents_std go together"),
        ({"latents_mean": [0], "latents_std": [1]}, "latents_mean has 1 entries"),
        ({"scaling_factor": 0}, "scaling_factor"),
    ],
)
def test_config_refuses(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AutoencoderConfig.from_file_fields(fields)


def test_refusals_at_the_call(unchecked_shapes: None) -> None:
    with pytest.raises(ValueError, match=r"x has shape \(1, 5, 4, 3\); height and width must be"):
        _abstract("encode", SMALL, (1, 5, 4, 3))
    with pytest.raises(ValueError, match=r"needed \[B, H, W, 3\]"):
        _abstract("encode", SMALL, (1, 4, 4, 4))
    with pytest.raises(ValueError, match=r"z has shape \(1, 4, 4, 3\); needed \[B, h, w, 4\]"):
        _abstract("decode", SMALL, (1, 4, 4, 3))
