"""Pruning while a network trains: exact zeros after every update, what is learnt, the command."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from PIL import Image

from tests.vision.answers import MOBILE
from workbench import vision
from workbench.datasets import Dataset, Images, digits
from workbench.training import Recipe, train
from workbench.vision import pruning
from workbench.vision.loading import load
from workbench.vision.prune import kept, main
from workbench.vision.pruning import (
    Blocks,
    CubicSchedule,
    GradualPruning,
    NOfM,
    PruningTask,
    Unstructured,
)
from workbench.vision.pruning.retraining import cubic, pruning_recipe, share_kept
from workbench.vision.training import ClassificationTask, judged, table_for
from workbench.vision.training.augmentation import NOTHING
from workbench.vision.training.population import with_population_statistics

TABLE = MOBILE.model_copy(update={"stages": MOBILE.stages[:1]})
QUARTER = NOfM(1, 4)


def test_dropped_weights_are_zero_after_every_update_and_others_move_as_ever():
    model = vision.new(TABLE)
    graph, start, rest = nnx.split(model, nnx.Param, ...)
    layers = set(pruning.prunable(model, QUARTER))
    schedule = CubicSchedule(start=1, length=4, every=2, final=QUARTER.sparsity)
    plain = optax.sgd(0.1)
    sparse = pruning.pruning_optimizer(plain, GradualPruning(QUARTER, schedule), layers)

    def learn(optimizer):
        @jax.jit
        def update(weights, state, key):
            shapes = jax.tree.leaves(weights)
            drawn = jax.random.normal(key, (sum(leaf.size for leaf in shapes),))
            parts = jnp.split(drawn, np.cumsum([leaf.size for leaf in shapes])[:-1])
            parts = [part.reshape(leaf.shape) for part, leaf in zip(parts, shapes, strict=True)]
            gradients = jax.tree.unflatten(jax.tree.structure(weights), parts)
            changes, state = optimizer.update(gradients, state, weights)
            return optax.apply_updates(weights, changes), state

        weights, state, seen = start, optimizer.init(start), []
        for step in range(7):
            weights, state = update(weights, state, jax.random.key(step))
            seen.append((nnx.merge(graph, weights, rest, copy=True), state))
        return seen

    dense, pruned = learn(plain), learn(sparse)
    shares = [share_kept(model, QUARTER) for model, _ in pruned]
    assert shares[0] == 1 and shares[-1] == 0.25 and shares == sorted(shares, reverse=True)
    for (model, state), (other, _) in zip(pruned, dense, strict=True):
        both = zip(nnx.iter_graph(model), nnx.iter_graph(other), strict=True)
        for (path, mine), (_, theirs) in both:
            if not hasattr(mine, "kernel"):
                continue
            found, wanted = np.asarray(mine.kernel[...]), np.asarray(theirs.kernel[...])
            name = ".".join(map(str, path))
            if name not in layers:
                np.testing.assert_array_equal(found, wanted)
            else:
                mask = np.asarray(state.kept[name])
                assert not found[~mask].any() and found[mask].all()
    name = min(layers)
    final = np.asarray(pruned[-1][1].kept[name])
    np.testing.assert_array_equal(final, pruned[5][1].kept[name])


def test_gradients_of_dropped_weights_take_no_share_of_the_clipped_norm():
    params = nnx.State({"layer": {"kernel": nnx.Param(jnp.asarray([[1.0], [2.0], [3.0], [4.0]]))}})
    schedule = CubicSchedule(start=0, length=1, every=1, final=QUARTER.sparsity)
    clipped = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0))
    sparse = pruning.pruning_optimizer(clipped, GradualPruning(QUARTER, schedule), {"layer"})
    state = sparse.init(params)
    for _ in range(2):
        gradients = jax.tree.map(lambda _: jnp.asarray([[1e6], [1e6], [1e6], [0.5]]), params)
        changes, state = sparse.update(gradients, state, params)
        params = optax.apply_updates(params, changes)
    (kernel,) = jax.tree.leaves(params)
    np.testing.assert_allclose(kernel[:, 0], [0.0, 0.0, 0.0, 3.5], atol=1e-5)


@pytest.mark.parametrize("steps", [3, 10, 150, 1000])
def test_masks_stay_in_the_last_third(steps):
    schedule = cubic(QUARTER, steps)
    assert schedule.end <= 2 / 3 * steps
    assert float(schedule.sparsity(schedule.end)) == pytest.approx(0.75)


@pytest.fixture(scope="module")
def data():
    """Zeros and ones, in eight pixels."""
    whole = digits(8)
    two = (
        Images(side.images[on], side.labels[on], side.source[on])
        for side in (whole.train, whole.test)
        for on in (side.labels < 2,)
    )
    return Dataset("two", whole.card, *two, label_names=("0", "1"))


@pytest.mark.slow
def test_training_on_learns_what_pruning_at_once_loses(data):
    recipe = Recipe(steps=60, batch_size=16, learning_rate=3e-3, seed=1)
    task = ClassificationTask(table_for(TABLE, data), data, recipe, augmentation=NOTHING)
    model = task.finished(train(task, recipe, report=lambda *_: None).weights)
    again = PruningTask(model, data, recipe, QUARTER, augmentation=NOTHING)
    found = again.finished(train(again, recipe, report=lambda *_: None).weights)
    assert share_kept(found, QUARTER) == 0.25 and share_kept(model, QUARTER) == 1
    at_once = with_population_statistics(pruning.pruned(model, QUARTER), data.train)
    lost, kept_ = (judged(one, data.test).cross_entropy for one in (at_once, found))
    assert kept_ < 0.5 * lost


def test_it_goes_on_only_with_classes_the_network_knows(data):
    with pytest.raises(ValueError, match="two has 2 classes; the network tells 5"):
        PruningTask(vision.new(TABLE), data, pruning_recipe(), QUARTER)


@pytest.mark.parametrize(
    ("text", "structure"),
    [
        ("2:4", NOfM(2, 4)),
        ("blocks:0.17", Blocks(0.17)),
        ("blocks:.25:8", Blocks(0.25, size=8)),
        ("0.25", Unstructured(0.25)),
    ],
)
def test_what_stays_is_read(text, structure):
    assert kept(text) == structure


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["our_small_resnext", "--keep", "5:4"], "n=5 is above m=4"),
        (["our_small_resnext", "--keep", "half"], "keep='half'; needed \"N:M\""),
        (["our_small_resnext", "--keep", "blocks:2"], "density=2"),
        (["our_small_resnext", "--keep", "2:4", "--steps", "2"], "steps=2"),
        (["nowhere", "--keep", "2:4"], "nowhere: no such folder; networks that ship are"),
    ],
)
def test_one_clear_line(words, message, capsys, tmp_path):
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert message in told and len(told.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_small_picture_of_a_folder_is_one_line(tmp_path, capsys):
    for name, side in (("cats", 40), ("cats", 41), ("dogs", 40), ("dogs", 8)):
        (tmp_path / name).mkdir(exist_ok=True)
        pixels = np.full((side, side, 3), side, np.uint8)
        Image.fromarray(pixels).save(tmp_path / name / f"{side}.png")
    assert main(["our_small_resnext", "--keep", "2:4", "--data", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "8×8" in told and "--enlarge" in told and len(told.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.long
def test_a_shipped_network_is_pruned_written_and_done_once(tmp_path, workbench_home, capsys):
    words = ["our_small_mobilenet_v1", "--keep", "2:4", "--steps", "3", "--out"]
    words += [str(tmp_path / "out")]
    assert main([*words, "--minutes", "0"]) == 3
    assert "the same command goes on" in capsys.readouterr().err
    assert main(words) == 0
    assert "2 of 4 stays, 3 updates" in capsys.readouterr().out
    facts = json.loads((tmp_path / "out" / "pruning.json").read_text())
    assert facts["density"] == 0.5 and facts["top1"]["before"]["value"] > 0.8
    assert share_kept(load(tmp_path / "out"), NOfM(2, 4)) == 0.5
    assert main(words) == 0  # from the store
    assert json.loads((tmp_path / "out" / "pruning.json").read_text())["top1"] == facts["top1"]
