"""A student begins with the teacher's own weights, and diffusers' layout keeps it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.diffusion.conftest import TINY, random_unet
from workbench.diffusion.assembly.assembling import assemble
from workbench.diffusion.assembly.initial import assembled
from workbench.diffusion.checkpoint import file_tensors, load_unet, save_unet
from workbench.diffusion.unet import UNetConfig


@pytest.fixture(scope="module")
def student(tiny_unet):
    return assembled(assemble(TINY, ["down.0.layer.0", "mid"]), tiny_unet)


def test_every_weight_is_the_teachers(student, tiny_unet):
    sources = assemble(TINY, ["down.0.layer.0", "mid"]).sources
    assert sources["up_blocks.1.resnets.0"] == "up_blocks.1.resnets.1"
    ours, theirs = file_tensors(student), file_tensors(tiny_unet)
    assert {key.split(".")[0] for key in ours} == {
        "conv_in", "time_embedding", "down_blocks", "up_blocks", "conv_norm_out", "conv_out",
    }  # fmt: skip
    for key in ours:
        source = key.replace("up_blocks.1.resnets.0.", "up_blocks.1.resnets.1.")
        np.testing.assert_array_equal(np.asarray(ours[key]), np.asarray(theirs[source]))


def test_dropping_nothing_is_the_teacher(tiny_unet):
    whole = assembled(assemble(TINY, []), tiny_unet)
    for ours, theirs in zip(
        jax.tree.leaves(nnx.split(whole)[1]), jax.tree.leaves(nnx.split(tiny_unet)[1]), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_dropped_layer_is_an_identity_of_the_rest(student, tiny_unet):
    """What the student computes is the teacher with its dropped layers' values handed in."""
    rng = np.random.default_rng(0)
    x, context = (
        jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, 8, 8, 1), (2, 3, 8))
    )

    def teacher_without(x, t, context):
        conv_in = tiny_unet.run(x, t, context, wanted=("conv_in",))["conv_in"]
        given = {"down.0.layer.0": conv_in}
        last = tiny_unet.run(x, t, context, wanted=("down.1.layer.0",), given=given)
        given |= {"mid": last["down.1.layer.0"]}
        below = tiny_unet.run(x, t, context, wanted=("up.0.upsample",), given=given)
        return tiny_unet.run(
            x, t, context, given={**given, "up.1.layer.0": below["up.0.upsample"]}
        )["conv_out"]

    t = jnp.float32(400.0)
    wanted = jax.jit(teacher_without)(x, t, context)
    found = jax.jit(lambda x, t, c: student(x, t, c))(x, t, context)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_student_is_kept_in_its_folder(student, tmp_path):
    save_unet(student, tmp_path)
    again = load_unet(tmp_path)
    assert again.config == student.config
    assert again.config.layers == (0, 1)
    assert again.config.mid_block_type is None
    ours, theirs = file_tensors(student), file_tensors(again)
    assert all((np.asarray(ours[key]) == np.asarray(theirs[key])).all() for key in ours)


def test_a_teacher_of_another_form_is_refused():
    other = UNetConfig(**{**dict(TINY), "block_out_channels": (16, 32)})
    with pytest.raises(ValueError, match=r"another form: block_out_channels is \(16, 32\)"):
        assembled(assemble(TINY, ["mid"]), random_unet(other))
