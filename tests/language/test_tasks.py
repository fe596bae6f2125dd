"""Training decoders: they learn, parts of a batch are the whole, and what goes wrong is told."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.language.texts import config, dataset, text_of
from tests.training.line import silent
from workbench.language import MQAR, NextToken, Recall, TokenData
from workbench.language.evaluation import bits_per_byte, held_out_loss, loss_by_position
from workbench.runs import Run
from workbench.training import Checkpoints, NotANumber, Recipe, train
from workbench.training.state import initial_state, make_update

DATA = TokenData(dataset(), length=24)
TASK = NextToken(config(), DATA)
RECIPE = Recipe(
    steps=40, batch_size=8, learning_rate=1e-2, warmup=4, log_every=1, weight_decay=0.1,
    schedule="two_stage", second_weight_decay=0.0, checkpoint_every=10,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def trained():
    return train(TASK, RECIPE, report=silent)


@pytest.mark.slow
def test_a_decoder_learns_its_text(trained):
    loss = trained.history["loss"]
    assert abs(loss[0] - np.log(256)) < 0.2 and loss.iloc[-1] < 0.65 * loss[0]
    before = bits_per_byte(TASK.model(TASK.init(jax.random.key(0))), DATA)
    assert trained.evaluation["bits_per_byte"] < 0.65 * before


@pytest.mark.slow
def test_bits_per_byte_is_the_definition(trained):
    """Each row from its beginning, without batches or padding."""
    model = TASK.model(trained.params)
    ids = DATA.test.ids
    logits = jax.jit(lambda row: model(row)[0])
    nats = 0.0
    for first in range(0, len(ids) - 1, 24):
        row = ids[first : first + 25]
        padded = np.zeros((1, 24), np.int32)
        padded[0, : len(row) - 1] = row[:-1]
        found = np.asarray(logits(padded), np.float64)
        log_p = found - np.log(np.exp(found).sum(1, keepdims=True))
        nats -= log_p[np.arange(len(row) - 1), row[1:]].sum()
    wanted = nats / np.log(2) / (len(ids) - 1)
    np.testing.assert_allclose(bits_per_byte(model, DATA), wanted, rtol=1e-5)
    np.testing.assert_allclose(trained.evaluation["bits_per_byte"], wanted, rtol=1e-5)
    assert held_out_loss(model, DATA, rows=3).tokens == 72
    along = loss_by_position(model, DATA)
    counts = (DATA.test_rows().targets >= 0).sum(0)
    np.testing.assert_allclose((along * counts).sum(), nats, rtol=1e-5)


def one_update(task, recipe, rows):
    state = initial_state(task, recipe)
    return jax.jit(make_update(task, recipe))(state, rows)


@pytest.mark.slow
def test_parts_of_a_batch_are_the_whole_also_where_targets_are_masked():
    words = [word * 3 for word in ("gate ", "state ", "of ", "a longer document. ", "x")]
    data = TokenData(dataset(text_of(*words * 9)), length=24, packed=True)
    task = NextToken(config(), data)
    recipe = Recipe(batch_size=8, learning_rate=1e-3)
    rows = task.with_recipe(recipe).batch(0)
    assert len({int(count) for count in (rows.targets >= 0).sum(1)}) > 1
    whole, said = one_update(task, recipe, rows)
    parts, found = one_update(task, recipe.model_copy(update={"accumulation": 4}), rows)
    np.testing.assert_allclose(found["loss"], said["loss"], rtol=1e-6)
    np.testing.assert_allclose(found["gradient_norm"], said["gradient_norm"], rtol=1e-5)
    # The first Adam step is the sign of the gradient, so the moments say more than the weights.
    moments = zip(jax.tree.leaves(parts.opt_state), jax.tree.leaves(whole.opt_state), strict=True)
    for a, b in moments:
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7)


@pytest.mark.slow
def test_half_precision_and_remat_give_the_loss_of_the_plain_task():
    params = TASK.init(jax.random.key(1))

    def gradient(task):
        of = jax.jit(jax.value_and_grad(lambda p, rows: task.loss(p, rows, jax.random.key(2))[0]))
        return of(params, TASK.batch(0))

    plain, gradients = gradient(TASK)
    again, same = gradient(replace(TASK, remat=True))
    np.testing.assert_allclose(again, plain, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), same, gradients)
    half = replace(TASK, dtype="bfloat16")
    rounded = jax.jit(half.loss)(params, TASK.batch(0), jax.random.key(2))[0]
    coarse = jax.eval_shape(jax.grad(half.loss, has_aux=True), params, TASK.batch(0), None)[0]
    np.testing.assert_allclose(rounded, plain, rtol=3e-3)
    assert rounded.dtype == jnp.float32 and rounded != plain
    assert {leaf.dtype for leaf in jax.tree.leaves(coarse)} == {jnp.dtype("float32")}


@pytest.mark.slow
def test_an_absurd_rate_stops_the_run_and_keeps_the_last_good_weights(tmp_path):
    recipe = RECIPE.model_copy(update={"second_peak_fraction": 1e30})
    with pytest.raises(NotANumber, match="is not a number at step 2[2-4]. .*: step 20") as caught:
        train(TASK, recipe, report=silent, folder=tmp_path / "run")
    assert caught.value.last_good == 20
    run = Run(tmp_path / "run")
    assert run.status.state == "failed" and "is not a number" in run.status.error
    saved = Checkpoints(run.checkpoints)
    state = saved.restore(initial_state(TASK, recipe))
    saved.close()
    assert int(state.step) == 20
    assert bits_per_byte(TASK.model(state.params), DATA) < 8


def test_recall_is_scored_on_its_queries():
    mqar = MQAR(length=16, pairs=2, vocab=24, train_examples=64, test_examples=32)
    task = Recall(config(24), mqar)
    params = task.init(jax.random.key(0))
    rows = mqar.test_rows()
    logits = np.asarray(jax.jit(task.model(params))(rows.tokens))
    asked = rows.targets >= 0
    wanted = (logits.argmax(-1)[asked] == rows.targets[asked]).mean()
    np.testing.assert_allclose(task.evaluate(params)["accuracy"], wanted, rtol=1e-6)
    loss, _ = jax.jit(task.loss)(params, rows, jax.random.key(0))
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(loss, -log_p[asked, rows.targets[asked]].mean(), rtol=1e-5)


def test_identity_is_of_model_data_and_loss():
    others = [
        NextToken(config(num_hidden_layers=2), DATA),
        NextToken(config(), TokenData(dataset(), length=25)),
        NextToken(config(), DATA, dtype="bfloat16"),
        NextToken(config(), DATA, test_rows=3),
    ]
    assert len({TASK.fingerprint, *(other.fingerprint for other in others)}) == 5
    same = [NextToken(config(), TokenData(dataset(), length=24)), TASK.with_recipe(RECIPE)]
    assert {one.fingerprint for one in same} == {TASK.fingerprint}


def test_a_task_that_cannot_be_is_told():
    with pytest.raises(ValueError, match="length=24: .* max_position_embeddings=16"):
        NextToken(config(max_position_embeddings=16), DATA)
    with pytest.raises(ValueError, match="vocab_size=100: the data has 256 tokens"):
        NextToken(config(100), DATA)


def test_each_process_draws_its_share_of_a_batch(monkeypatch):
    task = TASK.with_recipe(RECIPE)
    whole = task.batch(5)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    for place in range(2):
        monkeypatch.setattr(jax, "process_index", lambda place=place: place)
        own = task.batch(5)
        assert (own.tokens == whole.tokens[4 * place : 4 * place + 4]).all()
        assert own.segment_ids is None and own.targets.shape == (4, 24)
    with pytest.raises(ValueError, match="batch_size=7 cannot be split evenly over 2 processes"):
        replace(task, batch_size=7).batch(0)
