"""Counts of TVT's forms against the released ones; files; the grown UNet and its low rank."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.diffusion.super_resolution.small import UNET4, UNET8, network
from workbench.diffusion.super_resolution.arithmetic import picture_cost
from workbench.diffusion.super_resolution.forms import (
    SD21,
    SMALL4,
    SMALL8,
    SMALL_TVT_UNET,
    SMALL_UNET,
    TVT_UNET,
    VAED4,
    VAED8,
    with_outer_level,
)
from workbench.diffusion.super_resolution.growing import Tuned, grown, named, tuned
from workbench.diffusion.super_resolution.networks import shapes
from workbench.diffusion.unet import UNetConfig
from workbench.diffusion.vae import AutoencoderConfig


def test_the_4x_autoencoder_has_the_released_counts() -> None:
    """15.16 M parameters, 5.81 and 9.35; 351 and 763 GMACs at 512 pixels."""
    four, found = shapes(VAED4), picture_cost(VAED4, None, 512, 512)
    assert four.parameters == 15_162_343
    sides = [sum(leaf.size for leaf in jax.tree.leaves(four.weights[n])) for n in
             ("encoder", "decoder")]  # fmt: skip
    np.testing.assert_allclose(sides, [5.81e6, 9.35e6], rtol=1e-3)
    np.testing.assert_allclose((found.encoder, found.decoder), (351e9, 763e9), rtol=1e-3)
    assert VAED4.stride == 4


@pytest.mark.slow
def test_the_8x_one_costs_more() -> None:
    eight, found = shapes(VAED8), picture_cost(VAED8, None, 512, 512)
    assert eight.parameters == 83_653_863
    np.testing.assert_allclose((found.encoder, found.decoder), (558e9, 1257e9), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("width", "gmacs"), [(64, 422), (128, 450), (192, 494)])
def test_the_grown_unet_has_the_counts_measured(width: int, gmacs: float) -> None:
    config = with_outer_level(SD21, width)
    found = picture_cost(VAED4, config, 512, 512).unet
    assert found / 1e9 == pytest.approx(gmacs, abs=0.51)
    assert (width != 128) or config == TVT_UNET


def test_the_small_pair_is_cheaper() -> None:
    four, eight = (
        picture_cost(vae, unet, 64, 64)
        for vae, unet in ((SMALL4, SMALL_TVT_UNET), (SMALL8, SMALL_UNET))
    )
    assert four.encoder + four.decoder < 0.9 * (eight.encoder + eight.decoder)
    assert SMALL4.stride == 4
    assert SMALL8.stride == 8


def test_files_say_what_is_not_the_formats_own() -> None:
    fields = VAED4.to_file_fields()
    assert fields["mid_block"] is False
    assert AutoencoderConfig.from_file_fields(fields) == VAED4
    assert "mid_block" not in VAED8.to_file_fields()
    outer = TVT_UNET.to_file_fields()
    assert outer["time_embedding_dim"] == 1280
    assert UNetConfig.from_file_fields(outer).time_width == 1280
    assert SD21.to_file_fields()["time_embedding_dim"] is None
    # Pipelines and runs are named by these, and keep their names.
    assert "time_embedding_dim" not in SD21.model_dump(mode="json")
    assert "time_embedding_dim" not in repr(SD21)
    assert "time_embedding_dim=1280" in repr(TVT_UNET)


@pytest.fixture(scope="module")
def outer() -> Tuned:
    return grown(network(UNET8), UNET4, jax.random.key(1))


def test_old_blocks_move_inward_and_the_rest_is_new(outer: Tuned) -> None:
    inner, there = named(network(UNET8).weights), named(outer.base.weights)
    for old, new in {
        "down_blocks.1.resnets.0.conv1.kernel": "down_blocks.2.resnets.0.conv1.kernel",
        "mid_block.resnets.0.conv2.kernel": "mid_block.resnets.0.conv2.kernel",
        "up_blocks.0.resnets.0.conv1.kernel": "up_blocks.0.resnets.0.conv1.kernel",
        "time_embedding.linear_2.kernel": "time_embedding.linear_2.kernel",
    }.items():
        np.testing.assert_array_equal(there[new], inner[old])
        assert new not in outer.full
    for name in ("down_blocks.0.resnets.0.conv1.kernel", "up_blocks.2.resnets.0.conv1.kernel",
                 "up_blocks.1.upsamplers.0.conv.kernel", "conv_in.kernel",
                 "down_blocks.1.resnets.0.conv1.kernel"):  # fmt: skip
        assert name in outer.full
    assert set(outer.init(jax.random.key(0))["full"]) == set(outer.full)


def test_the_time_embedding_is_the_old_one_at_time_one(outer: Tuned) -> None:
    old, new = network(UNET8).model(), outer.base.model()
    first, second = (model.time_embedding(jnp.ones((1,))) for model in (old, new))
    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.slow
def test_the_first_restoration_is_the_input(outer: Tuned) -> None:
    run = jax.jit(lambda w, z: outer.base.model(w)(z, 1.0))
    z = jax.random.normal(jax.random.key(0), (1, 8, 8, 4))
    np.testing.assert_array_equal(run(outer.base.weights, z), 0)


def test_low_rank_changes_are_products(outer: Tuned) -> None:
    trained = outer.init(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, outer.weights(trained), outer.base.weights)
    name = "mid_block.resnets.0.conv1.kernel"
    a, _ = trained["low_rank"][name]
    b = jnp.ones((4, 8))
    trained["low_rank"][name] = (a, b)
    before, after = named(outer.base.weights)[name], named(outer.weights(trained))[name]
    change = np.asarray(after - before).reshape(-1, 8)
    np.testing.assert_allclose(change, np.asarray(a) @ np.ones((4, 8)), atol=1e-5)
    assert np.linalg.matrix_rank(change, tol=1e-4) <= 4


def test_a_tuned_unet_trains_its_ends() -> None:
    found = tuned(network(UNET8))
    assert {name.split(".")[0] for name in found.full} == {"conv_in", "conv_out", "conv_norm_out"}
    assert isinstance(nnx.split(found.base.model())[1], nnx.State)


def test_growing_refuses_another_form() -> None:
    with pytest.raises(ValueError, match=r"outer has widths \(8, 8\); needed one level before"):
        grown(network(UNET8), UNET8, jax.random.key(0))
