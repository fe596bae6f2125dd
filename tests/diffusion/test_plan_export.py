"""Plans as text: what comes back, and what a form cannot express."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.diffusion.dit import DiTConfig
from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.plan import ACTIONS, Plan, PlanError
from workbench.diffusion.plan_export.deepcache import package_branch
from workbench.diffusion.stable_diffusion import STABLE_DIFFUSION_15
from workbench.diffusion.unet import UNetConfig

plans = st.builds(
    lambda later, branch, group, injection, names: Plan(
        ("full", *later), branch, group, injection, tuple(names)
    ),
    st.lists(st.sampled_from(ACTIONS), max_size=30),
    st.integers(0, 11),
    st.integers(1, 16),
    st.floats(0, 0.02),
    st.lists(st.sampled_from(["mid", "up.*", "**.resnet"]), min_size=1, unique=True),
)


@settings(deadline=None)
@given(plans)
def test_json_gives_the_plan_back(plan):
    assert Plan.of_json(plan.export("json")) == plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("full", "A plan's file holds JSON; this is none"),
        ("[1]", r"A plan's file holds an object. It holds \[1\]"),
        ("{}", "actions must be a list of actions. You gave None"),
        ('{"actions": ["full"], "depth": 1}', "A plan has no 'depth'; it has actions, branch"),
        ('{"actions": ["full"], "branch": "1"}', "branch must be a number. You gave '1'"),
        ('{"actions": ["full"], "branch": true}', "branch must be a number. You gave True"),
        ('{"actions": ["decode"]}', "Step 0 must run in full"),
        ('{"actions": [[1]]}', "actions must be a list of names"),
        (
            '{"actions": ["full"], "inherited": [1]}',
            r"inherited must be a list of names. You gave \[1\]",
        ),
        (
            '{"actions": ["full"], "inherited": null}',
            "inherited must be a list of names. You gave None",
        ),
        (
            '{"actions": ["full"], "inherited": "mid"}',
            "inherited must be a list of names. You gave 'mid'",
        ),
        ('{"actions": ["full"], "injection": NaN}', "injection must be a number. You gave nan"),
    ],
)
def test_a_file_that_is_no_plan_says_why(text, message):
    with pytest.raises(PlanError, match=message):
        Plan.of_json(text)


def test_deepcache_is_a_call_with_interval_and_branch():
    text = FeatureInheritance(interval=5, branch=3).plan(50).export("deepcache")
    assert "set_params(cache_interval=5, cache_branch_id=3)" in text
    assert "num_inference_steps=50" in text
    compile(text, "deepcache.py", "exec")
    full = Plan.full(20).export("deepcache")
    assert "cache_interval=1," in full


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (EncoderPropagation().plan(50), "it has decode steps, the package shallow only"),
        (FeatureInheritance(level="block").plan(50), "it has inherit steps"),
        (FeatureInheritance(mode="centre-dense").plan(50), "are not evenly spaced"),
        (Plan(("full", "shallow"), injection=0.003), "it adds noise on the way"),
    ],
    ids=["decode", "inherit", "centre-dense", "noise"],
)
def test_what_deepcache_cannot_express_is_said(plan, why):
    with pytest.raises(PlanError, match=f"DeepCache package cannot express this plan: .*{why}"):
        plan.export("deepcache")


class _Helper:
    """Takes the package's calls."""

    def __init__(self, pipe):
        self.set_params = lambda cache_interval, cache_branch_id: None
        self.enable = self.disable = lambda: None


def asked_for(interval, scheduler):
    """The number of steps that the exported call asks a pipeline for."""
    asked = []

    class Pipe:
        def __call__(self, prompt, num_inference_steps):
            asked.append(num_inference_steps)
            return type("Made", (), {"images": None})()

    pipe = Pipe()
    pipe.scheduler = type(scheduler, (), {})()
    text = FeatureInheritance(interval=interval).plan(50).export("deepcache")
    program = text.replace("from DeepCache import DeepCacheSDHelper", "")
    exec(program, {"DeepCacheSDHelper": _Helper, "prompt": "", "pipe": pipe})
    return asked


def test_a_call_of_the_package_asks_pndm_for_one_step_less():
    assert asked_for(5, "PNDMScheduler") == [49]
    assert asked_for(5, "DDIMScheduler") == asked_for(2, "DDIMScheduler") == [50]
    with pytest.raises(ValueError, match="the package skips step 2"):
        asked_for(2, "PNDMScheduler")


def test_branches_are_put_into_the_packages_count():
    """By block and layer: the package counts three layers in every block."""
    assert [package_branch(b, UNetConfig()) for b in range(12)] == list(range(12))
    assert [package_branch(b, UNetConfig(layers_per_block=1)) for b in range(8)] == [
        0, 1, 3, 4, 6, 7, 9, 10]  # fmt: skip
    assert package_branch(4, UNetConfig(layers_per_block=(1, 2, 2, 2))) == 5
    plan = Plan(("full", "shallow"), branch=2)
    assert "cache_branch_id=3)" in plan.export("deepcache", UNetConfig(layers_per_block=1))
    with pytest.raises(PlanError, match="branch 3 is layer 3 of its block.*layers 0 to 2"):
        Plan(("full", "shallow"), branch=3).export("deepcache", UNetConfig(layers_per_block=3))


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (DiTConfig(), "follows plans in a UNet; this model is a transformer"),
        (UNetConfig(mid_block_type=None), "needs a UNet with a middle block; this model has none"),
        (UNetConfig(conv_experts=2), "no convolutions that mix 2 kernels"),
        (UNetConfig(layers_per_block=1), "Branch 9 is none of this model's, 0 to 7"),
    ],
    ids=["transformer", "no middle", "experts", "branch"],
)
def test_a_model_that_torch_programs_are_not_made_for_is_refused(config, why):
    plan = Plan(("full", "shallow"), branch=9)
    for form in ("diffusers", "deepcache"):
        with pytest.raises(PlanError, match=why):
            plan.export(form, config)
    assert Plan.of_json(plan.export("json", config)) == plan
    assert "follow(pipe)" in plan.export("diffusers", UNetConfig())


def test_no_branch_gives_the_papers_mean():
    """Table 3 prints 130.45 G at interval 5 beside 338.83 G a full pass: 78.4 G a partial step."""
    partial = (50 * 130.45 - 10 * 338.83) / 40
    assert partial == pytest.approx(78.4, abs=0.05)
    counted = [part.no_bmm / 1e9 for part in STABLE_DIFFUSION_15.shallow]
    assert counted[:4] == pytest.approx([20.7, 57.3, 98.0, 132.6], abs=0.05)
    assert min(abs(value / partial - 1) for value in counted) > 0.2


def test_the_snippet_holds_the_plan_and_needs_nothing_of_ours():
    plan = FeatureInheritance(level="unit").plan(20)
    text = plan.export("diffusers")
    names = {}
    exec(compile(text, "exported.py", "exec"), names)
    assert Plan.of_record(names["PLAN"]) == plan and names["STEPS"] == 20
    assert "workbench" not in text
    pipe = type("Pipe", (), {"scheduler": type("PNDMScheduler", (), {})()})
    assert names["inference_steps"](pipe) == 19
    pipe.scheduler = None
    assert names["inference_steps"](pipe) == 20
    imports = [line for line in text.splitlines() if line.startswith(("import", "from"))]
    assert imports == ["import json", "import re"]


def test_an_unknown_form_names_the_known_ones():
    with pytest.raises(PlanError, match="exported as json, diffusers, deepcache. You gave 'onnx'"):
        Plan.full(3).export("onnx")


def test_a_record_is_plain():
    record = Plan(("full", "inherit"), inherited=("mid",)).record()
    assert json.loads(json.dumps(record)) == record
