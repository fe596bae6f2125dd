"""Our autoencoder against diffusers' own, both ways through the file and through the model."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.peers import peer

torch = peer("torch")
diffusers = peer("diffusers")

from workbench.checkpoints import read_tensors, write_tensors  # noqa: E402
from workbench.diffusion.checkpoint import WEIGHTS, load_vae, save_vae  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

QUICK = {"xla_backend_optimization_level": 0}
"""Compiles in half the time; the arithmetic is the same."""

SMALL = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 32,
}
FORMS = {
    "stable_diffusion": {},
    "sdxl": {"scaling_factor": 0.13025, "layers_per_block": 2},
    "shifted": {
        "shift_factor": 0.0609,
        "scaling_factor": 0.3611,
        "latent_channels": 6,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
    },
    "no_attention": {"mid_block_add_attention": False},
}


def _theirs(form: str):
    torch.manual_seed(0)
    model = diffusers.AutoencoderKL(**(SMALL | FORMS[form]))
    with torch.no_grad():  # norms and biases away from their plain start
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def _nchw(array: np.ndarray):
    return torch.from_numpy(array.transpose(0, 3, 1, 2).copy())


def _nhwc(tensor) -> np.ndarray:
    return tensor.numpy().transpose(0, 2, 3, 1)


def _answers(model, x: np.ndarray, z: np.ndarray) -> list[np.ndarray]:
    """Mean, log variance and picture."""
    with torch.no_grad():
        latent = model.encode(_nchw(x)).latent_dist
        return [_nhwc(v) for v in (latent.mean, latent.logvar, model.decode(_nchw(z)).sample)]


def _ours(vae, x: np.ndarray, z: np.ndarray) -> list[np.ndarray]:
    graph, weights = nnx.split(vae)

    def both(weights, x, z):
        vae = nnx.merge(graph, weights)
        return (*vae.encode(x), vae.decode(z))

    found = jax.jit(both, compiler_options=QUICK)(weights, jnp.asarray(x), jnp.asarray(z))
    return [np.asarray(v) for v in found]


def _inputs(latent: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2, 16, 8, 3)).astype(np.float32)
    return x, rng.standard_normal((2, 8, 4, latent)).astype(np.float32)


def _same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max()


@pytest.mark.parametrize("form", FORMS)
def test_both_ways(form: str, tmp_path: Path) -> None:
    model = _theirs(form)
    model.save_pretrained(tmp_path / "theirs")
    vae = load_vae(tmp_path / "theirs")
    assert vae.config.scaling_factor == model.config.scaling_factor
    assert vae.config.shift_factor == model.config.shift_factor
    x, z = _inputs(vae.config.latent_channels)
    ours = _ours(vae, x, z)
    _same(ours, _answers(model, x, z))
    save_vae(vae, tmp_path / "ours")
    again, report = diffusers.AutoencoderKL.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    _same(ours, _answers(again.eval(), x, z))


@pytest.mark.parametrize("as_convolutions", [False, True])
def test_old_names_of_attention(as_convolutions: bool, tmp_path: Path) -> None:
    """A file under the names of 2022, read by us as by them."""
    model = _theirs("stable_diffusion")
    model.save_pretrained(tmp_path)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, tensor in read_tensors(tmp_path / WEIGHTS).items():
        for new, before in old.items():
            if f".attentions.0.{new}." in name:
                name = name.replace(f".{new}.", f".{before}.")
                if as_convolutions and tensor.ndim == 2:
                    tensor = tensor[:, :, None, None]
        tensors[name] = tensor
    assert sum(".query." in name for name in tensors) == 4
    write_tensors(tmp_path / WEIGHTS, tensors)
    x, z = _inputs(4)
    ours = _ours(load_vae(tmp_path), x, z)
    _same(ours, _answers(model, x, z))
    if not as_convolutions:
        theirs = diffusers.AutoencoderKL.from_pretrained(tmp_path).eval()
        _same(ours, _answers(theirs, x, z))
