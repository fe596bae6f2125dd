"""The closed form against looped DDIM, the coefficients and costs of the paper's setting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.diffusion.costs import UNetShape, abstract_unet, decode_cost, full_cost
from workbench.diffusion.digits.recipe import SCHEDULER
from workbench.diffusion.schedulers import DDIM, DDPM, LCM, DPMSolverPlusPlus, Euler, start
from workbench.diffusion.students.one_pass import one_pass, predictions
from workbench.diffusion.students.student import one_pass_cost
from workbench.diffusion.unet import UNetConfig
from workbench.measure.macs import count

STABLE_DIFFUSION = DDIM(
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    clip_sample=False,
    set_alpha_to_one=False,
    steps_offset=1,
)


def test_four_steps_of_stable_diffusion_have_the_known_coefficients() -> None:
    form = one_pass(STABLE_DIFFUSION, 4)
    assert form.timesteps == (751, 501, 251, 1)
    assert form.noise[-1] == pytest.approx(4.234613, abs=2e-6)
    wanted = (-2.491945, -0.924901, -0.656805, -0.012142)
    assert form.outputs[-1] == pytest.approx(wanted, abs=2e-6)


@pytest.mark.parametrize("passes", [1, 2, 4, 7])
@pytest.mark.parametrize(
    "scheduler",
    [
        STABLE_DIFFUSION,
        SCHEDULER,
        SCHEDULER.model_copy(update={"rescale_betas_zero_snr": True}),
        STABLE_DIFFUSION.model_copy(update={"prediction_type": "sample"}),
    ],
    ids=["noise", "velocity", "zero signal", "image"],
)
def test_every_sample_is_looped_ddims(scheduler: DDIM, passes: int) -> None:
    draw = np.random.default_rng(0)
    z = jnp.asarray(draw.normal(size=(2, 4, 4, 1)), jnp.float32)
    outputs = jnp.asarray(draw.normal(size=(passes, 2, 4, 4, 1)), jnp.float32)
    form, schedule = one_pass(scheduler, passes), scheduler.plan(passes)
    x, state = z, start(z)
    samples, noises = form.samples(z, outputs), form.predicted_noises(z, outputs)
    for k in range(passes):
        eps_x, eps_output = (schedule.column(name)[k] for name in ("eps_x", "eps_output"))
        np.testing.assert_allclose(noises[k], eps_x * x + eps_output * outputs[k], atol=1e-5)
        x, state = schedule.step(k, x, outputs[k], state)
        np.testing.assert_allclose(samples[k], x, atol=1e-5)
    np.testing.assert_allclose(form.clean(z, outputs), x, atol=1e-5)


@pytest.mark.slow
def test_predictions_are_decoder_passes_over_features_of_the_first_timestep(
    tiny_unet, tiny, parts
) -> None:
    inputs = tiny.inputs((0, 1))
    timesteps = (901.0, 601.0, 1.0)
    graph, weights = nnx.split(tiny_unet)
    run = jax.jit(lambda w, z, c: predictions(nnx.merge(graph, w), z, timesteps, c))
    found = run(weights, inputs.noise, inputs.context)
    skips, mid = parts.encode(inputs.noise, jnp.float32(timesteps[0]), inputs.context)
    for t, one in zip(timesteps, found, strict=True):
        wanted = parts.decode(skips, mid, jnp.float32(t), inputs.context)
        np.testing.assert_allclose(one, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("scheduler", "passes", "said"),
    [
        (STABLE_DIFFUSION, 0, "passes=0: needed at least 1 decoder pass"),
        (STABLE_DIFFUSION, 2000, "n_steps=2000 must lie between 1"),
        (DDPM(clip_sample=False), 4, "scheduler DDPM adds noise at its steps"),
        (LCM(), 4, "scheduler LCM adds noise at its steps"),
        (DDIM(), 4, "scheduler DDIM clips the predicted image"),
        (DPMSolverPlusPlus(), 4, "scheduler DPMSolverPlusPlus remembers earlier steps"),
        (Euler(), 4, "scheduler Euler scales the sample"),
    ],
)
def test_what_makes_no_linear_form_is_one_line(scheduler, passes, said) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        one_pass(scheduler, passes)
    assert "\n" not in str(caught.value)


def test_a_student_costs_one_encoder_and_k_decoders(tiny) -> None:
    shape = tiny.shape
    assert one_pass_cost(shape, 1) == full_cost(shape)
    assert one_pass_cost(shape, 4).macs == full_cost(shape).macs + 3 * decode_cost(shape).macs
    with pytest.raises(ValueError, match="passes=0"):
        one_pass_cost(shape, 0)


@pytest.mark.slow
def test_costs_of_stable_diffusion_are_the_known_ones() -> None:
    shape = UNetShape(UNetConfig(), 64, 64, 77)
    found = one_pass_cost(shape, 4).macs
    assert found == pytest.approx(1214e9, rel=1e-3)
    assert full_cost(shape).macs == pytest.approx(401.6e9, rel=1e-3)
    assert 4 * full_cost(shape).macs == pytest.approx(1606e9, rel=1e-3)
    # What `predictions` itself computes, not the sum of parts.
    form, config = one_pass(STABLE_DIFFUSION, 4), UNetConfig()
    graph, weights = nnx.split(abstract_unet(config))
    z = jax.ShapeDtypeStruct((1, 64, 64, 4), jnp.float32)
    text = jax.ShapeDtypeStruct((1, 77, config.cross_attention_dim), jnp.float32)

    def run(weights, z, text):
        return predictions(nnx.merge(graph, weights), z, form.timesteps, text)

    counted = count(run, weights, z, text, weights=0)
    # The embedding of four timesteps beside one is all that the parts share.
    assert counted.total == pytest.approx(found, rel=1e-4)
    assert counted.no_bmm == pytest.approx(
        one_pass_cost(UNetShape(config, 64, 64, 77), 4).no_bmm, rel=1e-4
    )
