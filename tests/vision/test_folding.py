"""Folded networks are the same function, with fewer steps."""

import numpy as np
import pytest
from flax import nnx

from tests.vision.answers import CONV_FIRST, SMALL, answer, pictures, stirred
from workbench import vision
from workbench.checkpoints import CheckpointError


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_answers_stay(config):
    model = stirred(vision.new(config))
    folded = vision.folded(model)
    wanted, found = answer(model, pictures()), answer(folded, pictures())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())
    kinds = {layer.kind for layer in vision.layer_costs(folded, size=16)}
    assert "batch norm" not in kinds
    assert not [path for path, _ in nnx.to_flat_state(nnx.state(folded)) if path[-1] == "gamma"]
    assert not nnx.to_flat_state(nnx.state(folded, nnx.BatchStat))
    np.testing.assert_array_equal(answer(model, pictures()), wanted)


def test_folded_twice_is_folded_once():
    once = vision.folded(stirred(vision.new(CONV_FIRST)))
    np.testing.assert_array_equal(answer(vision.folded(once), pictures()), answer(once, pictures()))


def test_a_folded_network_is_not_written(tmp_path):
    with pytest.raises(CheckpointError, match="batch norms are folded and cannot be written"):
        vision.save(vision.folded(vision.new(CONV_FIRST)), tmp_path)


def test_a_folded_network_is_not_trained():
    with pytest.raises(ValueError, match="folded; train it before"):
        vision.folded(vision.new(CONV_FIRST))(pictures(), training=nnx.Rngs(0))
