"""Both stages, teacher and restorer on random blocks: what moves, what stands still, refusals."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.diffusion.super_resolution.small import UNET4, UNET8, VAE4, VAE8, network, pictures
from workbench.diffusion.checkpoint import save_unet, save_vae
from workbench.diffusion.super_resolution.arithmetic import picture_cost, update_macs
from workbench.diffusion.super_resolution.autoencoding import (
    READINGS,
    AutoencoderTask,
    DecoderTask,
    EncoderTask,
    decoded,
    divergence,
    teacher_latent,
)
from workbench.diffusion.super_resolution.distillation import (
    SCHEDULER,
    clean,
    distilled,
    patches,
    score_difference,
)
from workbench.diffusion.super_resolution.features import feature_distance
from workbench.diffusion.super_resolution.growing import grown
from workbench.diffusion.super_resolution.latent_space import compared
from workbench.diffusion.super_resolution.networks import DECODER
from workbench.diffusion.super_resolution.pictures import pictures as real_pictures
from workbench.diffusion.super_resolution.restorer import UNET, VAE, Restorer, load_restorer
from workbench.diffusion.super_resolution.restoring import RestoringTask, TeacherTask
from workbench.diffusion.unet import new_unet
from workbench.diffusion.vae import Moments
from workbench.measure.macs import count
from workbench.progress import Cancelled
from workbench.training import Recipe, train

RECIPE = Recipe(steps=6, batch_size=2, learning_rate=3e-3, log_every=1, checkpoint_every=2)


def test_divergence_by_hand() -> None:
    """KL(N(m, v) | N(0, 1)) = (m² + v - 1 - ln v) / 2 a value."""
    moments = Moments(jnp.full((1, 2, 2, 4), 2.0), jnp.full((1, 2, 2, 4), np.log(0.5)))
    each = 0.5 * (4 + 0.5 - 1 - np.log(0.5))
    assert float(divergence(moments, 48)) == pytest.approx(each * 16 / 48, rel=1e-5)


@pytest.mark.slow
def test_features_tell_a_shift_from_nothing() -> None:
    x = jnp.asarray(pictures().batch(2, 0, 0))
    assert float(feature_distance(x, x)) == 0
    far, near = feature_distance(x, jnp.roll(x, 6, 1)), feature_distance(x, x + 0.01)
    assert float(far) > 5 * float(near) > 0


def test_both_readings_lie_on_the_students_grid() -> None:
    teacher, x = network(VAE8), jnp.asarray(pictures().batch(2, 0, 0))
    found = {
        (reading, stride): jax.eval_shape(
            lambda x, reading=reading, stride=stride: teacher_latent(teacher, stride, x, reading), x
        ).shape
        for reading in READINGS
        for stride in (4, 8)
    }
    assert found["picture", 4] == found["latent", 4] == (2, 8, 8, 4)
    assert found["picture", 8] == found["latent", 8] == (2, 4, 4, 4)


@pytest.mark.slow
@pytest.mark.long
def test_the_readings_differ_and_a_decoder_stands_alone() -> None:
    teacher, student = network(VAE8), network(VAE4, 3)
    x = jnp.asarray(pictures().batch(2, 0, 0))
    first, second = (teacher_latent(teacher, 4, x, reading) for reading in READINGS)
    assert not np.allclose(first, second)
    np.testing.assert_allclose(
        decoded(VAE4, student.side(DECODER), first), student.model().decode(first), atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.long
def test_a_restoring_update_moves_all_it_should() -> None:
    """By shapes: a gradient for each trained value, and none asked for of what stands still."""
    teacher = network(UNET8)
    unet = grown(teacher, UNET4, jax.random.key(1))
    task = RestoringTask(network(VAE4), unet, teacher, pictures(), RECIPE)
    params, batch = task.init(jax.random.key(0)), task.batch(0)
    assert set(params) == {"unet", "fake"}
    found = jax.eval_shape(jax.grad(task.loss, has_aux=True), params, batch, jax.random.key(0))
    assert jax.tree.structure(found[0]) == jax.tree.structure(params)
    assert set(found[1]) == {"squared", "distillation", "fake_score"}
    without = replace(task, distillation=0.0)
    assert set(without.init(jax.random.key(0))) == {"unet"}
    assert update_macs(without) < update_macs(task)


@pytest.mark.slow
@pytest.mark.long
def test_stage_one_learns_and_moves_the_decoder_alone(tmp_path: Path) -> None:
    task = DecoderTask(network(VAE8), VAE4, pictures(), RECIPE)
    assert set(task.init(jax.random.key(0))) == set(DECODER)
    long = train(task, RECIPE, report=lambda *_: None)
    assert long.history["loss"].iloc[-1] < long.history["loss"].iloc[0]

    def stop(done: int, total: int, note: str = "", preview: object = None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        train(task, RECIPE, report=stop, folder=tmp_path / "run")
    went_on = train(task, RECIPE, report=lambda *_: None, folder=tmp_path / "run")
    assert 0 < went_on.resumed_from < RECIPE.steps
    jax.tree.map(np.testing.assert_array_equal, went_on.params, long.params)


@pytest.mark.slow
@pytest.mark.long
def test_stage_two_serves_a_decoder_that_stands_still() -> None:
    student = network(VAE4)
    task = EncoderTask(student, pictures(), RECIPE)
    found = train(task, RECIPE, report=lambda *_: None)
    assert set(found.params) == {"encoder", "quant_conv"}
    assert found.history["error"].iloc[-1] < found.history["error"].iloc[0]
    kept = EncoderTask(student, pictures(), RECIPE, keep=True).init(jax.random.key(9))
    np.testing.assert_array_equal(
        jax.tree.leaves(kept)[0], jax.tree.leaves(student.side(("encoder",)))[0]
    )


@pytest.mark.slow
def test_what_an_update_costs() -> None:
    """Three passes: forward, by weights, and by values but the input's; the features half more."""
    task = AutoencoderTask(VAE8, pictures(), RECIPE)
    cost = picture_cost(VAE8, None, 32, 32)
    shape = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    features, passed = count(feature_distance, shape, shape).total, cost.encoder + cost.decoder
    assert 2.9 * 2 * passed + features < update_macs(task) < 3 * 2 * passed + 1.5 * features
    first = DecoderTask(network(VAE8), VAE4, pictures(), RECIPE)
    assert update_macs(replace(first, reading="latent")) < update_macs(first)


def test_a_teacher_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="teacher is no autoencoder"):
        DecoderTask(network(UNET8), VAE4, pictures(), RECIPE)
    with pytest.raises(ValueError, match="teacher has 4 pixels to one; the student 8"):
        DecoderTask(network(VAE4), VAE8, pictures(), RECIPE)
    other = VAE4.model_copy(update={"scaling_factor": 0.5})
    with pytest.raises(ValueError, match=r"scaling_factor=0.18215; the student has 0.5"):
        DecoderTask(network(VAE8), other, pictures(), RECIPE)
    with pytest.raises(ValueError, match="reading='both' is not one of picture, latent"):
        DecoderTask(network(VAE8), VAE4, pictures(), RECIPE, reading="both")
    with pytest.raises(ValueError, match="side=40: pictures have at least 32"):
        real_pictures(40)


def test_patches_lie_where_they_were() -> None:
    z = jnp.arange(2 * 4 * 4 * 1, dtype=jnp.float32).reshape(2, 4, 4, 1)
    cut = patches(z, 2)
    assert cut.shape == (8, 2, 2, 1)
    np.testing.assert_array_equal(cut[1, ..., 0], z[0, :2, 2:, 0])
    np.testing.assert_array_equal(cut[6, ..., 0], z[1, 2:, :2, 0])
    with pytest.raises(ValueError, match="latents of 4×4 cannot be cut into the teacher's 3×3"):
        patches(z, 3)


def test_distillation_follows_the_difference_of_scores() -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    z, real, fake = (jax.random.normal(key, (3, 2, 2, 4)) for key in keys)
    gradient = jax.grad(score_difference)(z, real, fake)
    scale = np.abs(z - real).mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(gradient, 2 * (fake - real) / scale / z.size, rtol=1e-4, atol=1e-6)


def test_clean_undoes_noise() -> None:
    x, noise = (jax.random.normal(jax.random.key(k), (2, 2, 2, 4)) for k in (0, 1))
    t = jnp.array([10, 700])
    np.testing.assert_allclose(clean(SCHEDULER.add_noise(x, noise, t), noise, t), x, atol=1e-4)


@pytest.mark.slow
def test_each_distillation_loss_moves_its_own() -> None:
    z = jax.random.normal(jax.random.key(0), (1, 8, 8, 4))

    def losses(z, a, b):
        return distilled(z, lambda x, t: a * x, lambda x, t: b * x, 4, jax.random.key(1))

    first = jax.grad(lambda *args: losses(*args)[0], (0, 1, 2))(z, 0.5, 0.2)
    second = jax.grad(lambda *args: losses(*args)[1], (0, 1, 2))(z, 0.5, 0.2)
    assert np.abs(first[0]).max() > 0
    assert first[1] == first[2] == second[1] == 0
    assert not np.abs(second[0]).any()
    assert second[2] != 0


@pytest.mark.slow
@pytest.mark.long
def test_teacher_and_restorer_learn() -> None:
    vae8, vae4 = network(VAE8), network(VAE4)
    shown = pictures()
    found = train(TeacherTask(vae8, UNET8, shown, RECIPE), RECIPE, report=lambda *_: None)
    assert np.isfinite(found.history["loss"]).all()
    teacher = replace(network(UNET8), weights=found.params)
    task = RestoringTask(vae4, grown(teacher, UNET4, jax.random.key(1)), teacher, shown, RECIPE)
    learnt = train(task, RECIPE, report=lambda *_: None)
    assert {"squared", "distillation", "fake_score"} <= set(learnt.history.columns)
    restorer = Restorer(vae4, task.restorer(learnt.params), tile=8, overlap=4)
    low = shown.held_out[0].low
    large = restorer.restored(low)
    assert large.shape == (2, 32, 32, 3)
    wide = restorer.restored(np.tile(low, (1, 2, 2, 1)))
    assert wide.shape == (2, 64, 64, 3)


def test_restorers_refuse(unchecked_shapes: None) -> None:
    vae, unet = network(VAE4), network(UNET4)
    restorer = Restorer(vae, unet)
    for shape, words in (
        ((1, 8, 8, 1), "colour"),
        ((1, 2, 8, 3), "low is 8×2; at least 4 pixels"),
        ((1, 8, 10, 3), "low is 10×8; width and height must be multiples of 4"),
    ):
        with pytest.raises(ValueError, match=words):
            restorer.restored(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="tile=90 with overlap=32: needed a multiple of 4"):
        Restorer(vae, unet, tile=90)
    with pytest.raises(ValueError, match="a restorer needs an autoencoder and a UNet"):
        Restorer(unet, vae)


def test_a_restorer_that_attends_is_read_with_its_text(tmp_path: Path) -> None:
    kinds = {
        "down_block_types": ("CrossAttnDownBlock2D",) * len(UNET4.down_block_types),
        "up_block_types": ("CrossAttnUpBlock2D",) * len(UNET4.up_block_types),
        "cross_attention_dim": 6,
    }
    save_vae(network(VAE4).model(), tmp_path / VAE)
    save_unet(new_unet(UNET4.model_copy(update=kinds)), tmp_path / UNET)
    with pytest.raises(ValueError, match=r"attends to one of \[T, 6\]"):
        load_restorer(tmp_path)
    context = np.zeros((3, 6), np.float32)
    assert load_restorer(tmp_path, context).context is context


@pytest.mark.slow
@pytest.mark.long
def test_the_same_latent_space_is_found_to_be_the_same() -> None:
    """An 8x autoencoder beside itself, and beside one whose latents are turned round."""
    shown, old = pictures().held_out[0].sharp, network(VAE8)
    same = compared(old, old, shown)
    assert same.correlation == pytest.approx(1)
    assert same.relative_error == 0
    assert same.own == same.old_decoder_new_latents == same.new_decoder_old_latents
    quant = jax.tree.map(lambda leaf: -leaf, old.weights["quant_conv"])
    turned = compared(old, old.with_side({"quant_conv": quant}), shown)
    assert turned.correlation == pytest.approx(-1, abs=1e-5)
    assert turned.spread_ratio == pytest.approx(1, abs=1e-4)
