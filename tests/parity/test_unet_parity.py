"""Our UNet against diffusers' own, both ways through the file."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from workbench.diffusion.checkpoint import load_unet, save_unet  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

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
CROSS = ("CrossAttnDownBlock2D",) * 2, ("CrossAttnUpBlock2D",) * 2
PLAIN = ("DownBlock2D",) * 2, ("UpBlock2D",) * 2

FORMS = {
    "plain_and_cross": {},
    "linear_projection": {"use_linear_projection": True},
    "heads_by_block": {
        "down_block_types": CROSS[0],
        "up_block_types": CROSS[1],
        "attention_head_dim": (2, 8),
    },
    "depth_two": {
        "down_block_types": CROSS[0],
        "up_block_types": CROSS[1],
        "transformer_layers_per_block": 2,
    },
    "depth_by_block": {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2),
        "use_linear_projection": True,
    },
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
    "three_blocks": {
        "block_out_channels": (32, 64, 128),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 2,
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


def _answer(model, x, t, context) -> np.ndarray:
    with torch.no_grad():
        out = model(
            torch.from_numpy(x.transpose(0, 3, 1, 2).copy()),
            torch.from_numpy(t),
            torch.from_numpy(context),
        ).sample
    return out.numpy().transpose(0, 2, 3, 1)


def _ours(unet, x, t, context):
    graph, weights = nnx.split(unet)
    forward = jax.jit(lambda weights, *inputs: nnx.merge(graph, weights)(*inputs))
    return forward(weights, jnp.asarray(x), jnp.asarray(t), jnp.asarray(context))


def _halves(unet, x, t, context):
    graph, weights = nnx.split(unet)

    @jax.jit
    def forward(weights, x, t, context):
        unet = nnx.merge(graph, weights)
        return unet.decode(*unet.encode(x, t, context), t, context)

    return forward(weights, jnp.asarray(x), jnp.asarray(t), jnp.asarray(context))


def _error(ours, theirs: np.ndarray) -> float:
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("form", FORMS)
def test_theirs_read_by_us(form: str, tmp_path: Path) -> None:
    model = _theirs(form)
    model.save_pretrained(tmp_path)
    ours = load_unet(tmp_path)
    x, t, context = _inputs(ours.config.in_channels)
    theirs = _answer(model, x, t, context)
    assert _error(_ours(ours, x, t, context), theirs) <= 1e-4
    assert _error(_halves(ours, x, t, context), theirs) <= 1e-4


@pytest.mark.parametrize("form", FORMS)
def test_ours_read_by_them(form: str, tmp_path: Path) -> None:
    _theirs(form).save_pretrained(tmp_path / "theirs")
    ours = load_unet(tmp_path / "theirs")
    save_unet(ours, tmp_path / "ours", metadata={"made by": "a test"})
    model, report = diffusers.UNet2DConditionModel.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    x, t, context = _inputs(ours.config.in_channels)
    theirs = _answer(model.eval(), x, t, context)
    assert _error(_ours(ours, x, t, context), theirs) <= 1e-4


def test_sharded_and_half_precision(tmp_path: Path) -> None:
    model = _theirs("depth_two")
    model.save_pretrained(tmp_path / "shards", max_shard_size="200KB")
    assert (tmp_path / "shards" / "diffusion_pytorch_model.safetensors.index.json").exists()
    x, t, context = _inputs(4)
    theirs = _answer(model, x, t, context)
    assert _error(_ours(load_unet(tmp_path / "shards"), x, t, context), theirs) <= 1e-4
    model.half().save_pretrained(tmp_path / "half", variant="fp16")
    half = load_unet(tmp_path / "half")
    assert half.conv_in.kernel[...].dtype == jnp.float32
    assert 1e-7 < _error(_ours(half, x, t, context), theirs) <= 1e-2


def test_bfloat16_compute_stays_near(tmp_path: Path) -> None:
    model = _theirs("plain_and_cross")
    model.save_pretrained(tmp_path)
    x, t, context = _inputs(4)
    theirs = _answer(model, x, t, context)
    ours = load_unet(tmp_path, dtype=jnp.bfloat16)
    assert 1e-5 < _error(_ours(ours, x, t, context), theirs) <= 5e-2
