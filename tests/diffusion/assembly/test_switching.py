"""Two networks over the steps of a run, under any plan."""

from dataclasses import replace

import numpy as np
import pytest

from tests.diffusion.conftest import TINY, random_unet, tiny_pipeline
from workbench.diffusion.assembly.assembling import assemble
from workbench.diffusion.assembly.initial import assembled
from workbench.diffusion.assembly.transform import with_unet
from workbench.diffusion.costs import full_cost, plan_cost, unit_costs
from workbench.diffusion.driver import sample
from workbench.diffusion.plan import Plan, PlanError
from workbench.diffusion.switch_speed import predicted_speed
from workbench.diffusion.switching import SwitchedPipeline, stages
from workbench.diffusion.unet import UNetConfig

STEPS = 6
PLAN = Plan.from_full_steps((0, 4), STEPS, "decode", largest_group=2)

PLANS = pytest.mark.parametrize(
    "plan",
    [
        pytest.param(Plan.full(STEPS), id="full"),
        pytest.param(PLAN, id="propagated", marks=pytest.mark.slow),
    ],
)


@pytest.fixture(scope="module")
def teacher(tiny_unet):
    return tiny_pipeline(tiny_unet, steps=STEPS, guidance=1.0)


@pytest.fixture(scope="module")
def student(teacher, tiny_unet):
    unet = assembled(assemble(TINY, ["down.0.layer.0", "mid"]), tiny_unet)
    return with_unet(teacher, unet, "student")


@pytest.fixture(scope="module")
def inputs(teacher):
    return teacher.inputs((0, 1))


@PLANS
def test_the_ends_are_the_two_networks_alone(teacher, student, inputs, plan):
    for switch, alone in ((0, teacher), (STEPS, student)):
        switched = SwitchedPipeline.of(teacher, student, switch).with_plan(plan)
        wanted = sample(alone.with_plan(plan), inputs)["latents"]
        np.testing.assert_array_equal(sample(switched, inputs)["latents"], wanted)


@PLANS
def test_in_between_each_network_makes_its_steps(teacher, student, inputs, plan):
    switched = SwitchedPipeline.of(teacher, student, 3).with_plan(plan)
    found = sample(switched, inputs)["latents"]
    early = sample(student.with_plan(plan), inputs)["latents"]
    np.testing.assert_allclose(found[:, :3], early[:, :3], atol=1e-5)
    assert np.abs(found[:, 3] - early[:, 3]).max() > 1e-4
    first, second = stages(switched)
    assert (first.first, second.first) == (0, 3)
    assert first.plan.actions == plan.actions[:3]
    assert second.plan.actions == ("full", *plan.actions[4:])


@pytest.mark.slow
def test_speed_is_the_formula(teacher, student):
    small, full = full_cost(student.shape).macs, full_cost(teacher.shape).macs
    switched = SwitchedPipeline.of(teacher, student, 2)
    speed = plan_cost(teacher).macs / plan_cost(switched).macs
    assert speed == pytest.approx(predicted_speed(small, full, STEPS, 2))
    assert predicted_speed(1.0, 2.0, 10, 5) == pytest.approx(20 / 15)


@pytest.mark.slow
def test_a_plan_costs_what_each_network_does_of_it(teacher, student):
    switched = SwitchedPipeline.of(teacher, student, 2)
    planned = plan_cost(switched.with_plan(PLAN)).macs
    parts = [unit_costs(one.shape) for one in (student, teacher)]
    # Steps 0 and 1 are the student's, 2 and 4 are whole passes of the teacher, 3 and 5 decode.
    wanted = parts[0].full.macs + parts[0].decode.macs
    assert planned == wanted + 2 * (parts[1].full.macs + parts[1].decode.macs)


def test_names_differ_by_what_is_switched(teacher, student):
    switched = SwitchedPipeline.of(teacher, student, 2)
    others = (teacher, student, SwitchedPipeline.of(teacher, student, 3))
    others += (SwitchedPipeline.of(teacher, replace(student, weights_hash="other"), 2),)
    assert switched.fingerprint not in {other.fingerprint for other in others}
    assert SwitchedPipeline.of(teacher, student, 2).fingerprint == switched.fingerprint


def test_what_does_not_fit_is_one_line(teacher, student):
    with pytest.raises(ValueError, match="Switch must be between 0 and 6.* You gave 7"):
        SwitchedPipeline.of(teacher, student, 7)
    switched = SwitchedPipeline.of(teacher, student, 5)
    with pytest.raises(ValueError, match="Switch must be between 0 and 4.* You gave 5"):
        switched.with_sampling(steps=4)
    deep = Plan.from_full_steps((0,), STEPS, "shallow", branch=3)
    with pytest.raises(PlanError, match="Branch must be between 0 and 2 for student. You gave 3"):
        switched.with_plan(deep)
    with pytest.raises(PlanError, match="nothing called 'down.0.layer.0'"):
        switched.with_plan(
            Plan.from_full_steps((0,), STEPS, "inherit", inherited=("down.0.layer.0",))
        )
    other = random_unet(UNetConfig(**{**dict(TINY), "cross_attention_dim": 16}))
    with pytest.raises(ValueError, match="another form: cross_attention_dim is 16"):
        SwitchedPipeline.of(teacher, with_unet(teacher, other, "other"), 2)
    with pytest.raises(ValueError, match="switches networks already"):
        SwitchedPipeline.of(switched, student, 2)
