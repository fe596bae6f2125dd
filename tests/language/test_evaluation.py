"""Evaluation along a text, of recall, and of speed: the definitions, on an untrained model."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.language.texts import config, dataset
from workbench.datasets import DatasetError
from workbench.language import MQAR, Decoder, TokenData
from workbench.language.evaluation import (
    length_extrapolation,
    recall_accuracy,
    recall_by_pairs,
    state_bytes,
    throughput_by_context,
)
from workbench.language.mixers.gla import GLAConfig
from workbench.measure import timing

DATA = TokenData(dataset(), length=8)


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def model():
    return Decoder(config(), rngs=nnx.Rngs(params=0))


def test_the_state_is_carried_through_the_whole_text(model):
    found = length_extrapolation(model, DATA, factor=4, rows=3)
    assert list(found["tokens"]) == [8, 16, 24, 32]
    rows = DATA.test_rows(3, 32)
    logits = np.asarray(jax.jit(model)(jnp.asarray(rows.tokens)), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = -np.take_along_axis(log_p, rows.targets[..., None], -1)[..., 0]
    wanted = losses.reshape(3, 4, 8).mean((0, 2))
    np.testing.assert_allclose(found["nats_per_token"], wanted, rtol=1e-5)
    np.testing.assert_allclose(found["bits_per_byte"], wanted / np.log(2), rtol=1e-5)


def test_what_is_too_long_is_told(model):
    with pytest.raises(DatasetError, match="its test split has 4.. tokens; 80 times 8 needs 641"):
        length_extrapolation(model, DATA, factor=80)
    short = Decoder(config(max_position_embeddings=16), rngs=nnx.Rngs(params=0))
    with pytest.raises(ValueError, match="32 tokens; .* max_position_embeddings=16"):
        length_extrapolation(short, DATA, factor=4)


def test_recall_by_pairs_is_recall_of_each(model):
    task = MQAR(length=16, pairs=2, vocab=24, train_examples=8, test_examples=16)
    found = recall_by_pairs(model, task, (1, 4))
    four = MQAR(length=16, pairs=4, vocab=24, train_examples=8, test_examples=16)
    assert list(found["pairs"]) == [1, 4]
    assert found["accuracy"][1] == recall_accuracy(model, four)
    assert found["chance"][0] == 1 / 12
    # One layer of 2 heads of 4 by 8 float32 numbers.
    assert list(found["state_bytes"]) == [4 * 2 * 4 * 8] * 2
    with pytest.raises(ValueError, match="pairs=5: "):
        recall_by_pairs(model, task, (5,))


def test_states_of_all_layers_count():
    deep = config(num_hidden_layers=3, mixers=(GLAConfig(num_heads=2), GLAConfig(num_heads=1)))
    assert state_bytes(deep, 99) == 2 * 4 * 2 * 4 * 8 + 4 * 8 * 16


def test_a_timed_token_is_written_into_the_states_memory(model, monkeypatch):
    given = []

    def twice(thunks, **more):
        for thunk in thunks.values():
            given.extend(jax.tree.leaves(thunk()[1]))
            thunk()
        return {name: SimpleNamespace(samples=(1.0, 2.0)) for name in thunks}

    monkeypatch.setattr(timing, "interleaved", twice)
    throughput_by_context(model, (8,))
    assert given and all(leaf.is_deleted() for leaf in given)


@pytest.mark.slow
def test_decoding_is_timed_after_each_context(model):
    found = throughput_by_context(model, (8, 16), repeats=3)
    assert list(found["context"]) == [8, 16]
    assert (found["low"] <= found["tokens_per_second"]).all() and (found["low"] > 0).all()
    assert found["state_bytes"][0] == found["state_bytes"][1] == state_bytes(model.config, 8)
