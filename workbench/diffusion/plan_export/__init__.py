"""Plans as text for other programs: JSON, a diffusers snippet, a call of the DeepCache package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from workbench.diffusion.plan import Plan, PlanError

FOLLOW = Path(__file__).with_name("follow_in_diffusers.py")
EMPTY = 'PLAN = json.loads("{}")'


def written(plan: Plan, form: str) -> str:
    """The plan in one of `FORMS`.

    Raises:
        PlanError: a form there is not, or a plan that the form cannot express.
    """
    if form not in FORMS:
        raise PlanError(f"A plan is exported as {', '.join(FORMS)}. You gave {form!r}")
    return FORMS[form](plan)


def _json(plan: Plan) -> str:
    return json.dumps(plan.record(), indent=1) + "\n"


def _diffusers(plan: Plan) -> str:
    """The whole file: how a plan is followed, with this plan in it.

    Decode steps run one by one there; batching them changes the time, not the result.
    """
    text = FOLLOW.read_text(encoding="utf-8")
    literal = json.dumps(json.dumps(plan.record()))
    return text.replace(EMPTY, f"PLAN = json.loads(\n    {literal}  # noqa: E501\n)")


def _deepcache(plan: Plan) -> str:
    """A call of the package, whose `cache_branch_id` counts branches as this plan does.

    Branch b keeps b + 1 layers of each side live, counted from the outermost, as in the package's
    helper (block b // 3, layer b % 3, where up blocks have three layers). The package's older
    pipelines of its own run one layer more for the same two numbers. The paper's count is neither:
    its table 3 prints a mean of 130.45 G for interval 5, which is 78.4 G for a partial step beside
    338.83 G for a full one; Stable Diffusion 1.5 has 20.7, 57.3, 98.0 and 132.6 G at branches 0 to
    3, counted as the paper counts (without attention products), so no branch gives the printed
    mean: 1 gives 113.5 and 2 gives 146.1 G.
    """
    reuses = set(plan.actions) - {"full"}
    full = plan.full_steps
    interval = full[1] - full[0] if len(full) > 1 else plan.steps
    problem = ""
    if reuses - {"shallow"}:
        problem = (
            f"it has {', '.join(sorted(reuses - {'shallow'}))} steps, the package shallow only"
        )
    elif full != tuple(range(0, plan.steps, interval)):
        problem = f"its full steps {full} are not evenly spaced"
    elif plan.injection:
        problem = "it adds noise on the way"
    if problem:
        raise PlanError(f"The DeepCache package cannot express this plan: {problem}")
    return f"""\
# pip install DeepCache
from DeepCache import DeepCacheSDHelper

helper = DeepCacheSDHelper(pipe=pipe)  # your diffusers pipeline
helper.set_params(cache_interval={interval}, cache_branch_id={plan.branch})
helper.enable()
images = pipe(prompt, num_inference_steps={plan.steps}).images
helper.disable()
"""


FORMS: dict[str, Callable[[Plan], str]] = {
    "json": _json,
    "diffusers": _diffusers,
    "deepcache": _deepcache,
}
