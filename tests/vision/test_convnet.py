"""Networks answer, train, and say what they cannot read."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from tests.vision.answers import CONV_FIRST, CONVNEXT, MOBILE, SMALL, answer, pictures
from workbench import vision


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_same_seed_same_answer(config):
    found = answer(vision.new(config, seed=3), pictures())
    assert found.shape == (2, 5)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, answer(vision.new(config, seed=3), pictures()))
    assert np.abs(found - answer(vision.new(config, seed=4), pictures())).max() > 1e-3


def test_any_size_where_nothing_is_cut_off():
    assert answer(vision.new(MOBILE), pictures(13)).shape == (2, 5)


def test_bfloat16_is_near():
    x, config = pictures(), CONV_FIRST
    full = answer(vision.new(config), x)
    half = answer(vision.new(config, dtype=jnp.bfloat16), x)
    assert half.dtype == np.float32
    assert 0 < np.abs(full - half).max() < 0.05 * np.abs(full).max()


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(MOBILE, marks=pytest.mark.slow, id="mobile"),
        pytest.param(CONVNEXT, id="convnext"),
    ],
)
def test_training_learns_and_moves_statistics(config):
    model = vision.new(config.model_copy(update={"drop_path": 0.2}))
    optimizer = nnx.Optimizer(model, optax.sgd(0.05, momentum=0.9), wrt=nnx.Param)
    x, labels = pictures(), jnp.asarray([1, 4])
    rngs = nnx.Rngs(0)

    def loss(model, rngs):
        logits = model(x, training=rngs)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))

    @nnx.jit
    def step(model, optimizer, rngs):
        value, gradient = nnx.value_and_grad(loss)(model, rngs)
        optimizer.update(model, gradient)
        return value

    before = jax.tree.map(jnp.copy, nnx.state(model, nnx.BatchStat))
    losses = [float(step(model, optimizer, rngs)) for _ in range(15)]
    assert min(losses[-3:]) < 0.8 * losses[0]
    after = nnx.state(model, nnx.BatchStat)
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    moved = [bool(jnp.any(old != new)) for old, new in pairs]
    assert all(moved)
    assert len(moved) == (0 if config is CONVNEXT else 2 * len(list(batch_norms(model))))


def batch_norms(model):
    return (c for c in vision.layer_costs(model, size=16) if c.kind == "batch norm")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 16, 16, 1), r"needed \[B, H, W, 3\]; repeat the grey channel"),
        ((2, 3, 16, 16), r"needed \[B, H, W, 3\]; channels come last here"),
        ((2, 16, 16, 4), r"has shape \(2, 16, 16, 4\); needed \[B, H, W, 3\]$"),
        ((16, 16, 3), r"has shape \(16, 16, 3\); needed \[B, H, W, 3\]$"),
        ((0, 16, 16, 3), "needed at least one picture"),
        ((2, 20, 16, 3), "height and width must be multiples of 8, such as 16 x 16"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_pictures_that_do_not_fit(shape, message):
    with pytest.raises(ValueError, match=message):
        vision.new(CONVNEXT)(jnp.zeros(shape))


@pytest.mark.usefixtures("unchecked_shapes")
def test_pictures_of_bytes():
    with pytest.raises(ValueError, match="has dtype uint8; needed normalised floats"):
        vision.new(CONVNEXT)(jnp.zeros((2, 16, 16, 3), jnp.uint8))


def test_a_convnext_block_keeps_its_channels():
    rows = [row.model_copy(update={"stride": 2}) for row in CONVNEXT.rows()]
    with pytest.raises(ValueError, match="block keeps size and channels; it has stride=2"):
        vision.new(CONVNEXT.with_rows(rows))
