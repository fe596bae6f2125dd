"""Convnets in training: the loss, what batch norms take, what is moved, and that it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from kernels_pallas import dispatch, grouped_conv2d
from kernels_pallas.grouped_conv2d import choice
from tests.vision.answers import CONV_FIRST, CONVNEXT, MOBILE
from workbench import vision
from workbench.datasets import Dataset, DatasetError, Images, digits
from workbench.training import Recipe, train
from workbench.vision import convolution
from workbench.vision.norms import BatchNorm
from workbench.vision.training import Augmentation, ClassificationTask, judged, table_for
from workbench.vision.training.augmentation import NOTHING
from workbench.vision.training.judging import logits_of
from workbench.vision.training.pictures import normalised
from workbench.vision.training.population import BATCH, with_population_statistics
from workbench.vision.training.task import smoothed_cross_entropy


@pytest.fixture(scope="module")
def data():
    """Zeros and ones, in eight pixels."""
    whole = digits(8)
    train_, test = (_only(side, 2) for side in (whole.train, whole.test))
    return Dataset("two", whole.card, train_, test, label_names=("0", "1"))


def _only(side, classes):
    kept = side.labels < classes
    return Images(side.images[kept], side.labels[kept], side.source[kept])


def recipe(steps=30, **changes):
    base = {"steps": steps, "batch_size": 16, "learning_rate": 3e-3, "seed": 1, "log_every": 5}
    return Recipe(**(base | changes))


@pytest.fixture(scope="module")
def trained(data):
    """A network of two blocks, and how it was trained."""
    table = MOBILE.model_copy(update={"stages": MOBILE.stages[:1]})
    task = ClassificationTask(table_for(table, data), data, recipe(60), augmentation=NOTHING)
    return task, train(task, task.recipe, report=lambda *_: None)


def test_smoothed_cross_entropy_is_its_definition():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 4)), np.array([0, 1, 2, 3, 0, 2], np.int32)
    q = 0.9 * np.eye(4)[labels] + 0.1 / 4
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    found = smoothed_cross_entropy(jnp.asarray(logits, jnp.float32), jnp.asarray(labels), 0.1)
    assert float(found) == pytest.approx(-(q * log_p).sum(axis=1).mean(), rel=1e-6)


def test_it_learns_and_is_judged_on_pictures_it_has_not_seen(trained, data):
    task, result = trained
    losses = result.history["loss"].to_numpy()
    assert losses[-1] < 0.6 * losses[0]
    found = judged(task.finished(result.weights), data.test)
    assert found.top1.count == len(data.test) == len(found.right)
    assert found.top1.low > 0.8 and found.top1.low < found.top1.value < 1.0 + 1e-9
    assert result.evaluation["accuracy"] == found.top1.value
    assert result.evaluation["cross_entropy"] == found.cross_entropy


def test_statistics_are_those_of_the_training_pictures(trained, data):
    """Algorithm 2 of the paper, by hand, at the first norm: it reads what the stem makes."""
    task, result = trained
    model = task.finished(result.weights)
    size = min(BATCH, len(data.train))
    pictures = Images(data.train.images[:size], data.train.labels[:size], data.train.source[:size])
    found = with_population_statistics(model, pictures, seed=3)
    y = model.conv_stem(normalised(pictures.images, model.config))
    y = np.asarray(y, np.float64).reshape(-1, y.shape[-1])
    np.testing.assert_allclose(found.bn1.running_mean[...], y.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.bn1.running_var[...], y.var(axis=0, ddof=1), rtol=1e-4)
    for _, norm in nnx.iter_graph(task.finished(result.weights)):
        if isinstance(norm, BatchNorm):
            assert not np.allclose(norm.running_var[...], 1.0), "none is left as it began"


def test_inference_takes_running_statistics_and_training_the_batchs(trained, data):
    task, result = trained
    model = task.finished(result.weights)
    alone = logits_of(model, _only(data.test, 1))
    together = logits_of(model, data.test)[data.test.labels == 0]
    np.testing.assert_allclose(alone, together, atol=1e-5)
    x = normalised(data.test.images[:8], model.config)
    graph, state = nnx.split(model)
    stepping = jax.jit(lambda state, x: nnx.merge(graph, state)(x, nnx.Rngs(0)))
    first, second = stepping(state, x), stepping(state, jnp.concatenate([x[:4], x[:4]]))
    assert float(jnp.abs(first[:4] - second[:4]).max()) > 1e-3, "a step depends on its batch"
    moved = nnx.clone(model)
    moved.bn1.running_mean[...] = moved.bn1.running_mean[...] + 1.0
    assert np.abs(logits_of(moved, data.test) - logits_of(model, data.test)).max() > 1e-3


def test_judging_moves_no_statistics(trained, data):
    task, result = trained
    model = task.finished(result.weights)
    before = [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(model, nnx.BatchStat))]
    judged(model, data.test)
    after = jax.tree.leaves(nnx.state(model, nnx.BatchStat))
    assert all((a == np.asarray(b)).all() for a, b in zip(before, after, strict=True))


def test_a_network_without_batch_norms_comes_back_as_it_is(data):
    model = vision.new(table_for(CONVNEXT, data))
    assert with_population_statistics(model, data.train) is model


@pytest.mark.slow
def test_averaged_weights_have_statistics_of_their_own(data):
    task = ClassificationTask(table_for(CONV_FIRST, data), data, recipe(20, ema_decay=0.9))
    result = train(task, task.recipe, report=lambda *_: None)
    means = [task.finished(w).stem for w in (result.params, result.ema)]
    pair = [np.asarray(getattr(stem, "1").running_mean[...]) for stem in means]
    assert np.abs(pair[0] - pair[1]).max() > 1e-4
    assert judged(task.finished(result.ema), data.test).top1.value > 0.8


@pytest.mark.slow
def test_the_forms_of_a_cpu_train_the_network_of_the_definition(data, monkeypatch):
    """Loss and gradients of a step, every grouped convolution in the forms that pictures get."""
    monkeypatch.setattr(choice, "LEAST_MACS", 0)
    graph, weights, rest = nnx.split(vision.new(table_for(CONV_FIRST, data)), nnx.Param, ...)
    x = normalised(data.test.images[:4], table_for(CONV_FIRST, data))

    def step(weights):
        def loss(weights):
            model = nnx.merge(graph, weights, rest, copy=True)
            return jnp.mean(model(x, nnx.Rngs(0)) ** 2)

        return jax.jit(jax.value_and_grad(loss))(weights)

    with dispatch.choices() as made:
        ours = step(weights)
    grouped = {one.form for one in made if one.op == "grouped_conv2d"}
    assert grouped and "xla" not in grouped
    defined = functools.partial(grouped_conv2d, implementation="reference")
    monkeypatch.setattr(
        convolution, "grouped_conv2d", lambda *a, implementation, **k: defined(*a, **k)
    )
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(step(weights)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


def test_moved_pictures_are_windows_of_the_padded_one():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    move = Augmentation(shift=2, flips=True)
    found = move(images, 1, 7)
    np.testing.assert_array_equal(found, move(images, 1, 7))
    assert (found != move(images, 1, 8)).any() and (found != move(images, 2, 7)).any()
    for picture, one in zip(images, found, strict=True):
        padded = np.pad(picture, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        windows = [padded[t : t + 8, s : s + 8] for t in range(5) for s in range(5)]
        assert any((one == w).all() or (one == w[:, ::-1]).all() for w in windows)
    np.testing.assert_array_equal(NOTHING(images, 1, 7), images)


def test_a_dataset_without_two_classes():
    whole = digits(8)
    plain = Dataset("plain", whole.card, whole.train, whole.test)
    with pytest.raises(DatasetError, match="plain has no classes; a classifier needs two"):
        table_for("our_small_resnext", plain)


def test_grey_pictures_have_one_channel_and_a_name_must_be_known(data):
    table = table_for("our_small_mobilenet_v1", data)
    assert (table.in_chans, table.num_classes) == (1, 2)
    assert table.preprocessing.input_size == (1, 8, 8)
    with pytest.raises(ValueError, match="'our_small_resnet' is not known"):
        table_for("our_small_resnet", data)


def test_pictures_that_are_cut_off(data):
    with pytest.raises(ValueError, match="multiples of 32"):
        ClassificationTask(table_for("convnext_atto", data), data, recipe())
    with pytest.raises(ValueError, match="smoothing=1"):
        ClassificationTask(table_for(MOBILE, data), data, recipe(), smoothing=1.0)
