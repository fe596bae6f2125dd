"""Our UNet against diffusers' own, both ways through the file."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.peers import peer

torch = peer("torch")
diffusers = peer("diffusers")

from workbench.diffusion.checkpoint import load_unet, save_unet  # noqa: E402
from workbench.diffusion.unet import AddedConditions, Residuals  # noqa: E402
from workbench.model_files.precision import Precision  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

QUICK = {"xla_backend_optimization_level": 0}
"""Compiles in half the time; the arithmetic is the same."""

SMALL = {
    "sample_size": 16,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 24,
    "attention_head_dim": 4,
    "norm_num_groups": 8,
}
PLAIN = ("DownBlock2D",) * 2, ("UpBlock2D",) * 2

FORMS = {
    "plain_and_cross": {},
    "layers_by_block": {"layers_per_block": (2, 1)},
    "plain_mid": {
        "down_block_types": PLAIN[0],
        "up_block_types": PLAIN[1],
        "mid_block_type": "UNetMidBlock2D",
    },
    "no_mid": {"mid_block_type": None},
    "sine_first": {"flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-6},
    "one_block": {
        "block_out_channels": (32,),
        "down_block_types": ("CrossAttnDownBlock2D",),
        "up_block_types": ("CrossAttnUpBlock2D",),
    },
    "stable_diffusion_2": {
        "block_out_channels": (16, 32),
        "down_block_types": ("CrossAttnDownBlock2D",) * 2,
        "up_block_types": ("CrossAttnUpBlock2D",) * 2,
        "attention_head_dim": (2, 4),
        "cross_attention_dim": 24,
        "use_linear_projection": True,
        "upcast_attention": True,
    },
    "sdxl": {
        "block_out_channels": (16, 32, 32),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (1, 2, 4),
        "transformer_layers_per_block": (1, 1, 2),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 10 + 6 * 8,
        "upcast_attention": None,
    },
    "three_blocks": {
        "block_out_channels": (32, 64, 128),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "in_channels": 3,
        "out_channels": 6,
    },
}


def _theirs(form: str):
    torch.manual_seed(0)
    model = diffusers.UNet2DConditionModel(**(SMALL | FORMS[form]))
    with torch.no_grad():  # norms and biases away from their plain start
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def _inputs(channels: int):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 16, 16, channels)).astype(np.float32)
    context = rng.standard_normal((2, 5, SMALL["cross_attention_dim"])).astype(np.float32)
    return x, np.asarray([901, 17]), context


def _added(config) -> AddedConditions | None:
    """The same pooled prompts and sizes every time; none for a form without."""
    if not config.pooled_width:
        return None
    pooled = np.random.default_rng(1).standard_normal((2, config.pooled_width))
    sizes = np.asarray([[64, 48, 0, 0, 64, 64], [512, 768, 8, 16, 256, 256]], np.float32)
    return AddedConditions(pooled.astype(np.float32), sizes)


def _residuals(unet, x, t, context) -> Residuals:
    """Random residuals of the right shapes."""
    rng = np.random.default_rng(2)
    features = jax.eval_shape(lambda: unet.encode(jnp.asarray(x), t, jnp.asarray(context)))
    draw = [
        rng.standard_normal(f.shape).astype(np.float32) for f in (*features.skips, features.mid)
    ]
    return Residuals(tuple(draw[:-1]), draw[-1])


def _theirs_of(array: np.ndarray):
    return torch.from_numpy(array.transpose(0, 3, 1, 2).copy())


def _answer(model, x, t, context, added=None, residuals=None) -> np.ndarray:
    more = {}
    if added is not None:
        pooled, sizes = map(torch.from_numpy, added)
        more["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": sizes}
    if residuals is not None:
        more["down_block_additional_residuals"] = tuple(map(_theirs_of, residuals.skips))
        more["mid_block_additional_residual"] = _theirs_of(residuals.mid)
    with torch.no_grad():
        out = model(_theirs_of(x), torch.from_numpy(t), torch.from_numpy(context), **more).sample
    return out.numpy().transpose(0, 2, 3, 1)


def _ours(unet, x, t, context, added=None, residuals=None):
    """The whole pass, and decoding what was encoded."""
    graph, weights = nnx.split(unet)

    def forward(weights, x, t, context, added, residuals):
        unet = nnx.merge(graph, weights)
        features = unet.encode(x, t, context, added=added, residuals=residuals)
        halves = unet.decode(*features, t, context, added=added)
        return unet(x, t, context, added=added, residuals=residuals), halves

    given = jax.tree.map(jnp.asarray, (x, t, context, added, residuals))
    return jax.jit(forward, compiler_options=QUICK)(weights, *given)


def _error(ours, theirs: np.ndarray) -> float:
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("form", FORMS)
def test_both_ways_through_the_file(form: str, tmp_path: Path) -> None:
    model = _theirs(form)
    model.save_pretrained(tmp_path / "theirs")
    unet = load_unet(tmp_path / "theirs")
    x, t, context = _inputs(unet.config.in_channels)
    added = _added(unet.config)
    ours = _ours(unet, x, t, context, added)
    theirs = _answer(model, x, t, context, added)
    assert _error(ours[0], theirs) <= 1e-4
    assert _error(ours[1], theirs) <= 1e-4
    save_unet(unet, tmp_path / "ours", metadata={"made by": "a test"})
    again, report = diffusers.UNet2DConditionModel.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    np.testing.assert_array_equal(_answer(again.eval(), x, t, context, added), theirs)


@pytest.mark.parametrize("form", ["plain_and_cross", "no_mid"])
def test_residuals_of_a_control_net(form: str, tmp_path: Path) -> None:
    model = _theirs(form)
    model.save_pretrained(tmp_path)
    unet = load_unet(tmp_path)
    x, t, context = _inputs(unet.config.in_channels)
    residuals = _residuals(unet, x, t, context)
    theirs = _answer(model, x, t, context, residuals=residuals)
    assert _error(_answer(model, x, t, context), theirs) > 1e-2
    ours = _ours(unet, x, t, context, residuals=residuals)
    assert _error(ours[0], theirs) <= 1e-4
    assert _error(ours[1], theirs) <= 1e-4


def test_sharded_and_half_precision(tmp_path: Path) -> None:
    model = _theirs("no_mid")
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "shards", max_shard_size="200KB")
    assert (tmp_path / "shards" / "diffusion_pytorch_model.safetensors.index.json").exists()
    whole, shards = (
        jax.tree.leaves(nnx.state(load_unet(tmp_path / n))) for n in ("whole", "shards")
    )
    for one, other in zip(whole, shards, strict=True):
        np.testing.assert_array_equal(one, other)
    x, t, context = _inputs(4)
    theirs = _answer(model, x, t, context)
    model.half().save_pretrained(tmp_path / "half", variant="fp16")
    half = load_unet(tmp_path / "half")
    assert half.conv_in.kernel[...].dtype == jnp.float32
    assert 1e-7 < _error(_ours(half, x, t, context)[0], theirs) <= 1e-2


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("dtype", "nearest", "farthest"), [("bfloat16", 1e-5, 5e-2), ("int8", 1e-4, 5e-2)]
)
def test_smaller_weights_stay_near(
    dtype: str, nearest: float, farthest: float, compute: str, tmp_path: Path
) -> None:
    """Whatever this CPU would compute in: near the whole weights, and diffusers reads the saved."""
    model = _theirs("plain_and_cross")
    model.save_pretrained(tmp_path)
    x, t, context = _inputs(4)
    theirs = _answer(model, x, t, context)
    unet = load_unet(tmp_path, dtype=Precision(dtype, np.dtype(compute)))
    ours = _ours(unet, x, t, context)[0]
    assert nearest < _error(ours, theirs) <= farthest
    save_unet(unet, tmp_path / "small")
    again = diffusers.UNet2DConditionModel.from_pretrained(tmp_path / "small").eval()
    rounding = 1e-4 if compute == "float32" else 3e-2
    assert _error(ours, _answer(again, x, t, context)) <= rounding
