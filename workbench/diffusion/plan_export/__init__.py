"""Plans as text for other programs: JSON, a diffusers snippet, a call of the DeepCache package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.diffusion.plan import Plan, PlanError
from workbench.diffusion.plan_export.deepcache import call
from workbench.diffusion.unet.config import UNetConfig

if TYPE_CHECKING:
    from workbench.diffusion.costs import Config

FORMS = ("json", "diffusers", "deepcache")
FOLLOW = Path(__file__).with_name("follow_in_diffusers.py")
EMPTY = 'PLAN = json.loads("{}")'


def written(plan: Plan, form: str, config: Config | None = None) -> str:
    """The plan in one of `FORMS`.

    Args:
        config: of the model that the plan runs on; None for any UNet in Stable Diffusion's form.

    Raises:
        PlanError: a form there is not, a plan that the form cannot express, or a model that the
            program is not made for.
    """
    if form not in FORMS:
        raise PlanError(f"A plan is exported as {', '.join(FORMS)}. You gave {form!r}")
    if form == "json":
        return json.dumps(plan.record(), indent=1) + "\n"
    unet = None if config is None else _unet(plan, form, config)
    return _diffusers(plan) if form == "diffusers" else call(plan, unet)


def _diffusers(plan: Plan) -> str:
    """The whole file: how a plan is followed, with this plan in it.

    Decode steps run one by one there; batching them changes the time, not the result.
    """
    text = FOLLOW.read_text(encoding="utf-8")
    literal = json.dumps(json.dumps(plan.record()))
    return text.replace(EMPTY, f"PLAN = json.loads(\n    {literal}  # noqa: E501\n)")


def _unet(plan: Plan, form: str, config: Config) -> UNetConfig:
    """The configuration, where programs on torch have such a model and can follow plans in it.

    Raises:
        PlanError: what of the model they lack.
    """
    program = "The file for diffusers" if form == "diffusers" else "The DeepCache package"
    if not isinstance(config, UNetConfig):
        raise PlanError(f"{program} follows plans in a UNet; this model is a transformer")
    if config.mid_block_type is None:
        raise PlanError(f"{program} needs a UNet with a middle block; this model has none")
    if config.conv_experts > 1:
        raise PlanError(
            f"{program} cannot run this model: diffusers has no convolutions that mix "
            f"{config.conv_experts} kernels"
        )
    branches = sum(layers + 1 for layers in config.layers)
    if "shallow" in plan.actions and plan.branch >= branches:
        raise PlanError(f"Branch {plan.branch} is none of this model's, 0 to {branches - 1}")
    return config
