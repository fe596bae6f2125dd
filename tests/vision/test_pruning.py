"""Pruning by magnitude: exactly what is kept, when, and that packed networks answer the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vision.answers import CONV_FIRST, CONVNEXT, MOBILE, RESNET, answer, pictures, stirred
from workbench import vision
from workbench.measure.roofline import RTX3090
from workbench.vision import pruning
from workbench.vision.pruning import Blocks, CubicSchedule, GradualPruning, NOfM, Unstructured

HALF, ONE_OF_TWO = NOfM(2, 4), NOfM(1, 2)


def kernel(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@settings(max_examples=6, deadline=None)
@given(
    n=st.integers(1, 4), m=st.sampled_from([1, 2, 4, 8]), taps=st.sampled_from([(), (1, 1), (3, 2)])
)
def test_n_of_m_keeps_the_largest_of_each_row_of_inputs(n, m, taps):
    n = min(n, m)
    weights = kernel(*taps, 16, 3)
    kept = np.asarray(NOfM(n, m).mask(weights))
    rows = np.abs(np.asarray(weights)).reshape(-1, 16 // m, m, 3)
    masks = kept.reshape(rows.shape)
    assert (masks.sum(2) == n).all()
    least_kept = np.where(masks, rows, np.inf).min(2)
    most_dropped = np.where(masks, -np.inf, rows).max(2)
    assert (least_kept >= most_dropped).all()


def test_equal_weights_keep_the_first():
    kept = NOfM(1, 2).mask(jnp.ones((4, 1)))
    np.testing.assert_array_equal(kept[:, 0], [True, False, True, False])


def test_blocks_go_by_the_mean_of_what_they_hold():
    weights = jnp.ones((6, 4)).at[3:, :3].set(1.5)
    weights = weights.at[3:, 3].set(3.0)  # the last block has three weights, and a smaller sum
    kept = np.asarray(Blocks(1 / 4, size=3).mask(weights[None, None]))[0, 0]
    assert kept.sum() == 3 and kept[3:, 3].all()


@pytest.mark.parametrize(("density", "blocks"), [(1.0, 6), (0.5, 3), (0.01, 1)])
def test_as_many_blocks_as_the_density_says_and_one_at_least(density, blocks):
    weights = kernel(8, 12)
    grid = np.asarray(Blocks(density, size=4).grid(weights))
    assert grid.sum() == blocks
    mask = np.asarray(Blocks(density, size=4).mask(weights))
    np.testing.assert_array_equal(mask, np.kron(grid, np.ones((4, 4), bool)))


def test_single_weights_are_the_largest_of_the_layer():
    weights = kernel(3, 3, 4, 5)
    kept = np.asarray(Unstructured(0.25).mask(weights))
    assert kept.sum() == 45
    assert np.abs(weights)[kept].min() >= np.abs(weights)[~kept].max()


def test_the_cubic_schedule_is_the_papers():
    schedule = CubicSchedule(start=10, length=40, every=10, final=0.8, initial=0.2)
    wanted = {0: 0.0, 9: 0.0, 10: 0.2, 19: 0.2, 20: 0.8 - 0.6 * 0.75**3, 49: 0.8 - 0.6 / 4**3}
    for step, share in (wanted | {50: 0.8, 999: 0.8}).items():
        assert float(schedule.sparsity(step)) == pytest.approx(share, abs=1e-6), step
    due = [step for step in range(70) if schedule.due(step)]
    assert due == [10, 20, 30, 40, 50] and schedule.end == 50


@pytest.mark.parametrize("structure", [NOfM(1, 4), Blocks(0.25, size=2), Unstructured(0.25)])
def test_masks_grow_sparser_inside_a_compiled_step(structure):
    schedule = CubicSchedule(start=1, length=8, every=2, final=structure.sparsity)
    gradual = GradualPruning(structure, schedule)
    weights = {"a": kernel(1, 1, 8, 4)}
    step = jax.jit(gradual.refreshed)
    kept, shares = gradual.begin(weights), []
    for number in range(11):
        kept = step(number, weights, kept)
        shares.append(pruning.density(kept))
    assert shares[0] == 1 and shares[1] == 1 and shares[9] == shares[10] == 0.25
    assert shares == sorted(shares, reverse=True) and len(set(shares)) > 2
    np.testing.assert_array_equal(kept["a"], structure.mask(weights["a"]))


def test_first_layer_depthwise_gates_and_classifier_stay_dense():
    model = vision.new(MOBILE)
    found = set(pruning.prunable(model, HALF))
    assert "blocks.1.0.conv_pw" in found and "blocks.2.0.conv_exp" in found
    assert not found & {"conv_stem", "classifier", "blocks.1.0.conv_dw", "blocks.0.1.conv_dw"}
    assert not [name for name in found if ".se." in name]
    pointwise = set(pruning.prunable(model, Blocks(0.5, size=8)))
    assert pointwise < found and "blocks.2.0.conv_exp" not in pointwise
    less = set(pruning.prunable(model, HALF, dense=["blocks.1", "conv_head"]))
    assert found - less == {"conv_head", *(name for name in found if name.startswith("blocks.1."))}


@pytest.mark.parametrize("config", [CONVNEXT, RESNET, CONV_FIRST])
def test_ends_of_every_skeleton_stay_dense(config):
    found = pruning.prunable(vision.new(config), ONE_OF_TWO)
    assert found and not {name.split(".")[0] for name in found} & {"stem", "conv1", "fc", "head"}


@pytest.mark.slow
def test_a_pruned_network_has_the_zeros_and_the_first_is_as_it_was():
    model = stirred(vision.new(CONV_FIRST))
    before = answer(model, pictures())
    sparse = vision.pruned(model, ONE_OF_TWO)
    for name, layer in pruning.prunable(sparse, ONE_OF_TWO).items():
        rows = np.asarray(layer.kernel[...]).reshape(-1, 2, layer.kernel.shape[-1])
        assert ((rows != 0).sum(1) == 1).all(), name
    np.testing.assert_array_equal(answer(model, pictures()), before)
    assert np.abs(answer(sparse, pictures()) - before).max() > 1e-3


@pytest.mark.parametrize(
    "config",
    [CONV_FIRST, *(pytest.param(one, marks=pytest.mark.slow) for one in (RESNET, CONVNEXT))],
)
def test_packed_blocks_answer_as_the_masked_network(config):
    model = vision.folded(stirred(vision.new(config)))
    sparse = vision.pruned(model, Blocks(0.5, size=8))
    packed = vision.packed(sparse, block=8)
    wanted, found = answer(sparse, pictures()), answer(packed, pictures())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())
    assert vision.parameters(packed) < vision.parameters(sparse)
    before, after = (
        sum(layer.macs for layer in vision.layer_costs(one, size=16)) for one in (sparse, packed)
    )
    assert after < before


def test_packed_networks_are_neither_folded_nor_written(tmp_path):
    packed = vision.packed(vision.pruned(vision.new(CONV_FIRST), Blocks(0.5, size=8)), block=8)
    with pytest.raises(ValueError, match="kernel is packed; fold batch norms before packing"):
        vision.folded(packed)
    with pytest.raises(ValueError, match="kernels are packed and cannot be written"):
        vision.save(packed, tmp_path)


@pytest.mark.slow
def test_speed_that_is_modelled_says_so_and_follows_what_is_kept():
    model = vision.new(CONVNEXT)
    found, kept = {}, {}
    for structure in (HALF, NOfM(1, 4), Unstructured(0.5), Unstructured(0.2)):
        kept[structure] = pruning.masks(model, structure)
        found[structure] = pruning.modelled(model, structure, kept[structure], RTX3090, size=32)
    half = found[HALF]
    assert {one.basis for one in found.values()} == {"modelled"} and "RTX 3090" in half.device
    assert 1 < half.speedup < found[NOfM(1, 4)].speedup
    for layer in half.layers:
        weights = kept[HALF][layer.name].size
        saved = weights / 2 * 4 - weights / 2 * 2 / 8  # float32 values, two bits a place
        assert layer.sparse.macs == layer.dense.macs / 2
        assert layer.dense.bytes_moved - layer.sparse.bytes_moved == saved
    assert not found[Unstructured(0.5)].sparse_in_xnnpack
    assert found[Unstructured(0.2)].sparse_in_xnnpack


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NOfM(5, 4), "n=5 is above m=4"),
        (lambda: NOfM(0, 4), "n=0; needed a whole number from 1 on"),
        (lambda: NOfM(2, 4.0), "m=4.0; needed a whole number from 1 on"),
        (lambda: Blocks(0.0), "density=0.0; needed a share above 0, up to 1"),
        (lambda: Blocks(0.5, size=0), "size=0; needed a whole number"),
        (lambda: Unstructured(1.5), "density=1.5; needed a share"),
        (lambda: CubicSchedule(0, 10, 3, 0.5), "every=3 does not divide length=10"),
        (lambda: CubicSchedule(0, 10, 5, 1.0), "final=1.0; needed 0 <= initial <= final < 1"),
        (
            lambda: CubicSchedule(-1, 10, 5, 0.5),
            "start=-1; needed a whole number of steps from 0 on",
        ),
    ],
)
def test_numbers_that_cannot_be_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_networks_that_cannot_be_pruned_so_say_why():
    model = vision.new(CONV_FIRST)
    with pytest.raises(ValueError, match=r"m=16 does not divide its 8 input channels"):
        vision.pruned(model, NOfM(1, 16))
    with pytest.raises(ValueError, match="has no layer that Blocks.* prunes"):
        vision.pruned(model, Blocks(0.5))
    with pytest.raises(ValueError, match="dense='stages.7': no layer is called so; there are"):
        vision.pruned(model, HALF, dense=["stages.7"])
    with pytest.raises(ValueError, match="no pointwise layer with 8 x 8 zeros in place"):
        vision.packed(model, block=8)
    with pytest.raises(ValueError, match="kept has 'nowhere'; the network has no such layer"):
        pruning.masked(model, {"nowhere": jnp.ones((1,), bool)})
    name, layer = next(iter(pruning.prunable(model, HALF).items()))
    with pytest.raises(ValueError, match="has shape .*; the kernel's is"):
        pruning.masked(model, {name: jnp.ones((1, *layer.kernel.shape), bool)})
    with pytest.raises(ValueError, match="blocks are of pointwise layers"):
        Blocks(0.5, size=2).mask(kernel(3, 3, 4, 4))
