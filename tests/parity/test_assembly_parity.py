"""Assembled students against diffusers' own models of the same fields, through the file."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.peers import peer

torch = peer("torch")
diffusers = peer("diffusers")

from workbench.diffusion.assembly.assembling import assemble  # noqa: E402
from workbench.diffusion.assembly.initial import assembled  # noqa: E402
from workbench.diffusion.assembly.presets import dropped_by  # noqa: E402
from workbench.diffusion.checkpoint import load_unet, save_unet  # noqa: E402
from workbench.diffusion.unet import UNetConfig, new_unet  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

QUICK = {"xla_backend_optimization_level": 0}
STABLE = UNetConfig(
    sample_size=16,
    block_out_channels=(16, 32, 32, 32),
    cross_attention_dim=24,
    attention_head_dim=4,
    norm_num_groups=8,
)
DIGITS = UNetConfig(
    sample_size=16,
    block_out_channels=(16, 16, 24),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    attention_head_dim=4,
    cross_attention_dim=24,
    norm_num_groups=8,
    use_linear_projection=True,
)


@pytest.mark.parametrize(
    ("teacher", "preset"),
    [(STABLE, "small"), (STABLE, "tiny"), (DIGITS, "base"), (DIGITS, "tiny")],
)
def test_a_student_is_the_same_in_diffusers(teacher, preset, tmp_path: Path):
    student = assembled(assemble(teacher, dropped_by(teacher, preset)), new_unet(teacher, seed=1))
    save_unet(student, tmp_path)
    theirs = diffusers.UNet2DConditionModel.from_pretrained(tmp_path).eval()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 16, 16, 4)).astype(np.float32)
    context = rng.standard_normal((2, 5, 24)).astype(np.float32)
    t = np.asarray([901, 17])
    with torch.no_grad():
        wanted = theirs(
            torch.tensor(x.transpose(0, 3, 1, 2)), torch.tensor(t), torch.tensor(context)
        ).sample.numpy()
    graph, weights = nnx.split(load_unet(tmp_path))
    call = jax.jit(lambda w, x, c: nnx.merge(graph, w)(x, jnp.asarray(t), c))
    found = call.lower(weights, x, context).compile(QUICK)(weights, x, context)
    assert np.abs(np.asarray(found).transpose(0, 3, 1, 2) - wanted).max() < 1e-4
    # And what diffusers writes is read back as it was.
    theirs.save_pretrained(tmp_path / "theirs")
    again = load_unet(tmp_path / "theirs")
    assert again.config == student.config
