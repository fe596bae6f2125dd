"""Sampling methods: knobs to plans, what is said before anything runs, and code that comes back."""

from dataclasses import replace

import pytest

from workbench.diffusion import planned, step_lists
from workbench.diffusion.costs import unit_costs
from workbench.diffusion.driver import reused_names
from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.feature_inheritance import BLOCKS, LAYERS, UNITS, FeatureInheritance
from workbench.diffusion.full_sampling import FewerSteps, FullSampling
from workbench.diffusion.plan import Plan
from workbench.diffusion.planned import PlannedSampling
from workbench.diffusion.stable_diffusion import STABLE_DIFFUSION_15
from workbench.study import KnobError, MethodError

STEP_0 = "Step 0 must run in full: there is nothing to reuse yet"


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        (EncoderPropagation(), step_lists.FASTER_DIFFUSION_50["paper"]),
        (EncoderPropagation(key_steps="spread"), step_lists.FASTER_DIFFUSION_50["spread"]),
        (EncoderPropagation(key_steps="uniform", interval=10), (0, 10, 20, 30, 40)),
        (EncoderPropagation(key_steps="s2"), step_lists.DEEPFLOYD["s2"]),
        (EncoderPropagation(key_steps="triangular"), (0, 2, 5, 9, 14, 20, 27, 35, 44)),
        (EncoderPropagation(key_steps="custom", custom_steps=(9, 0, 4)), (0, 4, 9)),
        (FeatureInheritance(interval=10), (0, 10, 20, 30, 40)),
        (
            FeatureInheritance(mode="centre-dense", interval=5, centre=10, power=1.5),
            (0, 4, 7, 10, 14, 19, 24, 30, 36, 43),
        ),
        (FeatureInheritance(mode="custom", custom_steps=(0, 3)), (0, 3)),
        (
            FeatureInheritance(mode="front-dense", interval=10, power=2),
            (0, 2, 8, 18, 32),
        ),
        (
            FeatureInheritance(mode="back-dense", interval=10, power=2),
            (0, 18, 32, 42, 48),
        ),
        (
            FeatureInheritance(mode="window", interval=15, first=3, last=2),
            (0, 1, 2, 3, 18, 33, 48, 49),
        ),
    ],
    ids=repr,
)
def test_knobs_become_full_steps(method, wanted):
    assert method.plan(50).full_steps == tuple(wanted)
    reuse = "decode" if isinstance(method, EncoderPropagation) else "shallow"
    assert set(method.plan(50).actions) == {"full", reuse}


def test_knobs_reach_the_plan():
    plan = EncoderPropagation(largest_group=3, injection=0.003).plan(50)
    assert (plan.largest_group, plan.injection) == (3, 0.003)
    assert FeatureInheritance(branch=2).plan(50).branch == 2
    assert FullSampling().plan(20) == Plan.full(20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("knobs", "inherited"),
    [
        ({"level": "block"}, ("mid", "up.0")),
        ({"level": "block", "blocks": "encoder"}, ("down.0", "down.1", "mid")),
        (
            {"level": "layer", "layers": "first"},
            ("down.0.layer.0", "down.1.layer.0", "mid.layer.0"),
        ),
        ({"level": "unit", "units": "cross_attention"}, tuple(
            f"{layer}.transformer.0.cross_attention"
            for layer in ("down.1.layer.0", "mid.layer.0", "up.0.layer.0", "up.0.layer.1")
        )),
        ({"level": "named", "names": "up.0.upsample,  mid"}, ("mid", "up.0.upsample")),
    ],
)  # fmt: skip
def test_levels_become_names_of_the_model(tiny, knobs, inherited):
    method = FeatureInheritance(interval=2, **knobs)
    plan = method.plan(10)
    assert set(plan.actions) == {"full", "inherit"} and plan.full_steps == (0, 2, 4, 6, 8)
    assert reused_names(tiny.config, plan) == {"inherit": inherited}
    assert problems(method, tiny) == []
    whole = FullSampling().predict(tiny)
    cost = method.predict(tiny)
    pieces = unit_costs(tiny.shape)
    share = 0.5 * (1 + pieces.inherit(inherited).macs / pieces.full.macs)
    assert cost.ratio(whole)["macs"] == pytest.approx(share) and share < 1
    assert cost.cache_bytes == 2 * pieces.inherited_bytes(inherited)
    assert eval(method.code()) == method


def test_every_choice_of_parts_is_in_stable_diffusion():
    for names in (*BLOCKS.values(), *LAYERS.values(), *UNITS.values()):
        assert STABLE_DIFFUSION_15.inherit(names).macs < STABLE_DIFFUSION_15.full.macs


def test_names_the_model_lacks_are_said_before_anything_runs(tiny):
    method = FeatureInheritance(level="named", names="mid, up.7")
    text = "The UNet has nothing called 'up.7' to inherit; near: "
    ((level, field, message),) = problems(method, tiny)
    assert (level, field) == ("error", "names") and message.startswith(text)
    empty = FeatureInheritance(level="named", names=" ,")
    assert problems(empty, tiny)[0][2] == "Steps that inherit need the names of what they inherit"


def test_finished_runs_keep_their_identity():
    """What the first version wrote for these settings; its records are shipped."""
    knobs = {
        "interval": 5, "branch": 0, "mode": "uniform", "centre": 15.0, "power": 1.4,
        "custom_steps": [0, 5, 10, 15, 20, 25, 30, 35, 40, 45],
    }  # fmt: skip
    first = {"method": "Feature inheritance", "version": "1", "knobs": knobs}
    assert FeatureInheritance().identity() == first
    assert FeatureInheritance(level="unit").identity()["knobs"] == {**knobs, "level": "unit"}
    assert repr(Plan(("full", "shallow"))) == (
        "Plan(actions=('full', 'shallow'), branch=0, largest_group=1, injection=0.0)"
    )


def problems(method, subject):
    return [(p.level, p.field, p.message) for p in method.check(subject)]


@pytest.mark.parametrize(
    ("method", "field", "message"),
    [
        (EncoderPropagation(key_steps="custom", custom_steps=(1, 2)), "key_steps", STEP_0),
        (FeatureInheritance(mode="custom", custom_steps=(3,)), "mode", STEP_0),
        (
            EncoderPropagation(key_steps="custom", custom_steps=(0, 10)),
            "key_steps",
            "Step 10 is outside this run of 10 steps (0–9)",
        ),
        (
            FeatureInheritance(mode="custom", custom_steps=(0, 4, 4)),
            "mode",
            "A step is listed twice in (0, 4, 4)",
        ),
        (
            FeatureInheritance(branch=4),
            "branch",
            "Branch must be between 0 and 3 for this UNet. You gave 4",
        ),
        (
            FeatureInheritance(branch=11, interval=2),
            "branch",
            "Branch must be between 0 and 3 for this UNet. You gave 11",
        ),
        (
            FeatureInheritance(mode="centre-dense", interval=2, centre=5, power=1.4),
            "mode",
            "No list of 5 steps around step 5 in a run of 10; choose a centre inside the run",
        ),
        (FewerSteps(steps=200), "", ""),
    ],
    ids=repr,
)
def test_a_plan_that_cannot_work_is_an_error_before_anything_runs(tiny, method, field, message):
    subject = tiny
    if isinstance(method, FewerSteps):  # more than the model was trained on
        trained = tiny.scheduler.model_copy(update={"num_train_timesteps": 100})
        subject = replace(tiny, scheduler=trained)
        message = "Steps must be between 1 and 100. You gave 200"
    assert problems(method, subject) == [("error", field, message)]
    with pytest.raises(MethodError) as caught:
        method.prepare(subject)
    assert str(caught.value) == f"{method.name}: {message}"


def test_a_group_beyond_memory_names_one_that_fits(tiny, monkeypatch):
    method = EncoderPropagation(key_steps="uniform", interval=10, largest_group=8)
    assert problems(method, tiny) == []
    free = unit_costs(tiny.shape).group_bytes(5, tiny.passes, 8)
    monkeypatch.setattr(planned, "available_bytes", lambda: free)
    ((level, field, message),) = problems(method, tiny)
    assert (level, field) == ("error", "largest_group")
    assert message.startswith("Group of 8 needs about") and message.endswith("largest group to 4")
    assert (
        problems(EncoderPropagation(key_steps="uniform", interval=10, largest_group=4), tiny) == []
    )
    few = method.for_batch(1)
    assert few == method and not [p for p in few.check(tiny) if p.level == "error"]
    monkeypatch.setattr(planned, "available_bytes", lambda: None)
    assert problems(method, tiny) == []


def test_plans_that_gain_nothing_are_warned_about(tiny):
    inert = "Every step runs in full: nothing is reused, so no time is saved"
    assert problems(FeatureInheritance(interval=1), tiny) == [("warn", "mode", inert)]
    uniform = EncoderPropagation(key_steps="uniform", interval=1)
    assert problems(uniform, tiny) == [("warn", "key_steps", inert)]
    ((level, _, message),) = problems(FewerSteps(steps=25), tiny)
    assert level == "warn"
    assert message == "This plan computes 150 % more than the baseline and will be slower"
    assert problems(FewerSteps(steps=5), tiny) == []
    assert problems(FullSampling(), tiny) == []


def test_few_steps_are_warned_about(tiny):
    short = tiny.with_sampling(steps=5)
    method = EncoderPropagation(key_steps="uniform", interval=2)
    ((level, field, message),) = problems(method, short)
    assert (level, field) == ("warn", "key_steps")
    assert "With 5 steps" in message and "fails at about 5" in message
    assert problems(method, tiny) == []


def test_plans_do_not_stack(tiny):
    both = EncoderPropagation().then(FeatureInheritance())
    ((level, _, message),) = problems(both, tiny)
    assert level == "error" and "plans of one run do not stack" in message
    after_fewer = FewerSteps(steps=6).then(FeatureInheritance(interval=2))
    assert problems(after_fewer, tiny) == []
    assert after_fewer.outline(tiny).plan.full_steps == (0, 2, 4)
    assert after_fewer.prepare(tiny).steps == 6


def test_prediction_is_the_counted_ratio(tiny):
    from workbench.diffusion.costs import decode_cost, full_cost, shallow_cost

    full, steps = full_cost(tiny.shape).macs, tiny.steps
    whole = FullSampling().predict(tiny)
    assert whole.macs == pytest.approx(2 * steps * full)
    found = FeatureInheritance(interval=5).predict(tiny).ratio(whole)["macs"]
    shallow = shallow_cost(tiny.shape, 0).macs
    assert found == pytest.approx((2 * full + 8 * shallow) / (steps * full))
    found = EncoderPropagation(key_steps="uniform", interval=5).predict(tiny).ratio(whole)["macs"]
    assert found == pytest.approx((2 * full + 8 * decode_cost(tiny.shape).macs) / (steps * full))
    assert FewerSteps(steps=5).predict(tiny).ratio(whole)["macs"] == pytest.approx(0.5)


def test_largest_group_changes_neither_prediction_nor_plan_steps(tiny):
    found = {EncoderPropagation(largest_group=n).predict(tiny).macs for n in (1, 2, 8)}
    assert len(found) == 1


@pytest.mark.parametrize(
    "method",
    [
        FullSampling(), FullSampling(steps=20), FewerSteps(steps=7), EncoderPropagation(),
        EncoderPropagation(key_steps="custom", custom_steps=(0, 3, 9), injection=0.003),
        FeatureInheritance(mode="centre-dense", centre=12.5, power=1.3),
        FewerSteps().then(FeatureInheritance(branch=1)),
    ],
    ids=repr,
)  # fmt: skip
def test_code_makes_the_method_again(method):
    again = eval(method.code())
    assert again == method and hash(again) == hash(method)
    assert again.settings == method.settings
    assert repr(again) == method.code()


def test_knobs_out_of_range_are_refused_by_name():
    with pytest.raises(KnobError, match=r"Branch must be between 0 and 11. You gave 12"):
        FeatureInheritance(branch=12)
    with pytest.raises(KnobError, match="There is no knob 'key_step'"):
        EncoderPropagation(key_step="paper")


def test_a_users_own_plan_needs_a_name_and_a_rule(tiny):
    class FirstHalf(PlannedSampling):
        name = "First half"

        def plan(self, steps):
            return Plan.from_full_steps(range(steps // 2), steps, "shallow")

    assert problems(FirstHalf(), tiny) == []
    assert FirstHalf().prepare(tiny).plan.full_steps == (0, 1, 2, 3, 4)

    class Nothing(PlannedSampling):
        name = "Nothing"

    with pytest.raises(TypeError, match=r"Nothing needs plan\(steps\)"):
        Nothing().prepare(tiny)
