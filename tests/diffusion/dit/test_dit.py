"""The transformer's parts, names, counts and files; no torch."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.diffusion.checkpoint import DIT, load_dit, save_dit
from workbench.diffusion.costs import UNetShape, full_cost, unit_costs
from workbench.diffusion.dit import ClassLabels, DiTConfig
from workbench.diffusion.dit.blocks import positions
from workbench.diffusion.dit.program import encoder_blocks, program


@pytest.fixture(scope="module")
def run(small_dit):
    """`DiT.run`, compiled for each pair of names."""
    graph, weights = nnx.split(small_dit)

    def call(x, t, labels, given, wanted):
        return nnx.merge(graph, weights).run(x, t, labels, given=given, wanted=wanted)

    return jax.jit(call, static_argnums=4)


@pytest.fixture(scope="module")
def asked():
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 2))
    return x, jnp.asarray([3.0, 700.0]), jnp.asarray([4, 10])


@pytest.fixture(scope="module")
def whole(run, asked, small_dit):
    return run(*asked, {}, (*small_dit.layer_names(), *small_dit.unit_names()))


def test_every_value_given_back_leaves_the_prediction(run, asked, whole, small_dit) -> None:
    names = ("patches", "block.0", "block.1.attention", "block.1.feed_forward")
    assert set(names) < {*small_dit.layer_names(), *small_dit.unit_names()}
    assert whole["conv_out"].shape == (2, 8, 8, 4) and whole["block.0"].shape == (2, 16, 16)
    for name in names:
        found = run(*asked, {name: whole[name]}, ("conv_out",))["conv_out"]
        np.testing.assert_allclose(found, whole["conv_out"], rtol=0, atol=1e-5)
        other = run(*asked, {name: -whole[name]}, ("conv_out",))["conv_out"]
        assert np.abs(other - whole["conv_out"]).max() > 1e-3, name


def test_decoder_after_encoder_is_the_whole(small_dit, asked, whole) -> None:
    x, t, labels = asked
    graph, weights = nnx.split(small_dit)

    @jax.jit
    def both(weights):
        dit = nnx.merge(graph, weights)
        return dit.decode(dit.encode(x, t, labels), t, labels)

    found = both(weights)
    np.testing.assert_allclose(found, whole["conv_out"], rtol=0, atol=1e-5)


def test_unit_is_the_block_without_its_gate(small_dit, asked, whole) -> None:
    """x + gate unit, by the gate read off the block's own conditions."""
    _, t, labels = asked
    block = small_dit.transformer_blocks[1]
    _, _, gate, _, _, ff_gate = block.norm1(t, labels)
    wanted = whole["block.0"] + gate * whole["block.1.attention"]
    wanted = wanted + ff_gate * whole["block.1.feed_forward"]
    np.testing.assert_allclose(whole["block.1"], wanted, rtol=0, atol=1e-5)


def test_names_that_are_not_there(small_dit, asked) -> None:
    with pytest.raises(ValueError, match=r"no intermediate called 'block\.9'"):
        small_dit.run(*asked, wanted=("block.9",))
    with pytest.raises(ValueError, match="no skip connections"):
        small_dit.branch_name(0)
    with pytest.raises(ValueError, match="multiples of the patch, 2"):
        small_dit(asked[0][:, :7, :7], *asked[1:])
    with pytest.raises(ValueError, match="x has 3 channels; in_channels=2"):
        small_dit(jnp.zeros((2, 8, 8, 3)), *asked[1:])


def test_positions_are_those_of_each_axis() -> None:
    """First half of the channels: the column; second half: the row."""
    found = positions(2, 4, 8, 4).reshape(2, 4, 8)
    assert (found[0] == found[1])[:, :4].all() and not (found[0] == found[1])[:, 4:].any(1).all()
    np.testing.assert_allclose(found[0, 3, 0], np.sin(3.0), atol=1e-6)
    np.testing.assert_allclose(found[1, 0, 4], np.sin(2.0), atol=1e-6)  # 2 rows stretched to 4
    np.testing.assert_allclose(found[1, 0, 7], np.cos(2.0 / 100), atol=1e-6)


PUBLISHED = [(32, 118.64e9), (64, 524.60e9)]
"""Latent size and multiply-accumulates of DiT-XL/2, printed under the name Gflops in tables 4 and 6
of Peebles & Xie 2023."""


def counted(config: DiTConfig) -> tuple[int, float, float]:
    """Parameters of the model, and of one embedder in it; multiply-accumulates of a pass."""
    dit = DIT.abstract(config)
    embedder = dit.transformer_blocks[0].norm1.emb
    params, once = (
        sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(nnx.state(part)))
        for part in (dit, embedder)
    )
    macs = full_cost(UNetShape(config, config.sample_size, config.sample_size, 1)).macs
    return params, once, macs


@pytest.mark.parametrize(("size", "published"), PUBLISHED)
def test_counts_of_the_largest(size: int, published: float) -> None:
    """28 blocks counted from one and two: 675 M parameters with one embedder of the conditions,
    which the format repeats in each block."""
    one, two = (counted(DiTConfig(sample_size=size, num_layers=n)) for n in (1, 2))
    params, macs = (one[i] + 27 * (two[i] - one[i]) for i in (0, 2))
    assert params == 749_826_464
    assert params - 27 * one[1] == 674_834_720
    assert macs == pytest.approx(published, rel=5e-4)


@pytest.mark.slow
def test_counts_of_the_largest_itself() -> None:
    params, once, macs = counted(DiTConfig())
    assert (params, once) == (749_826_464, 2_777_472)
    assert macs == pytest.approx(PUBLISHED[0][1], rel=5e-4)


def test_pieces_of_a_plan_are_counted() -> None:
    config = DiTConfig(num_layers=3)
    costs = unit_costs(UNetShape(config, 32, 32, 1))
    assert costs.full.macs == sum(node.cost.macs for node in costs.nodes)
    blocks = [node.cost.macs for node in costs.nodes if node.name.startswith("block.")]
    wanted = blocks[2] + costs.nodes[-1].cost.macs
    assert costs.decode.macs == pytest.approx(wanted, rel=1e-12)
    assert costs.shallow == ()
    assert costs.feature_bytes == 256 * 1152 * 4


def test_first_18_of_28_blocks_play_the_encoder() -> None:
    assert encoder_blocks(DiTConfig()) == 18
    assert program(DiTConfig()).up_layers[0] == "block.18"
    assert encoder_blocks(DiTConfig(num_layers=1)) == 1
    assert encoder_blocks(DiTConfig(num_layers=2)) == 1


def test_file_and_back(small_dit, tmp_path) -> None:
    save_dit(small_dit, tmp_path)
    again = load_dit(tmp_path)
    assert again.config == small_dit.config
    for ours, theirs in zip(
        *(jax.tree.leaves(nnx.state(m)) for m in (again, small_dit)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    fields = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    old = fields | {"_class_name": "Transformer2DModel", "num_vector_embeds": None}
    assert DiTConfig.from_file_fields(old) == small_dit.config


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"_class_name": "PixArtTransformer2DModel"}, "_class_name='PixArt"),
        ({"norm_type": "ada_norm"}, "norm_type='ada_norm' is not supported"),
        ({"num_layer": 3}, "did you mean num_layers"),
        ({"sample_size": 9}, "sample_size=9 is not a multiple of patch_size=2"),
        ({"out_channels": 5}, "out_channels=5 must be in_channels=4"),
        ({"attention_head_dim": 9, "num_attention_heads": 1}, "multiple of 4"),
    ],
)
def test_fields_refused(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DiTConfig.from_file_fields(fields)


def test_labels_take_turns_and_are_held_to_the_classes() -> None:
    labels = ClassLabels(10)
    found = labels.for_seeds((0, 13, 9))
    assert found.context.tolist() == [0, 3, 9] and found.blank.tolist() == [10] * 3
    with pytest.raises(ValueError, match="10 is not a class; these are 0 to 9"):
        labels.for_seeds((0,), (10,))
