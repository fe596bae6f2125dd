"""The plan taken away: as JSON, for diffusers, for the DeepCache package."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from workbench import shipped
from workbench.diffusion.plan import Plan, PlanError
from workbench.diffusion.unet.config import UNetConfig
from workbench.panels.picture import Cell, Column, TableContent
from workbench.panels.view import Export

if TYPE_CHECKING:
    from workbench.diffusion.costs import Config
    from workbench.diffusion.pipeline import Pipeline

PLAN_MENU = (
    Export("plan-json", "Plan", ".json", behind=True),
    Export("plan-diffusers", "Plan for diffusers", ".py", behind=True),
    Export("plan-deepcache", "Plan for DeepCache", ".py", behind=True),
)
TARGETS = {"json": "JSON", "diffusers": "diffusers, on torch", "deepcache": "DeepCache package"}


def config_of(pipeline: Pipeline | None) -> Config:
    """A panel's model: the given one's configuration, else the shipped one's, read without jax."""
    return _shipped() if pipeline is None else pipeline.config


@cache
def _shipped() -> UNetConfig:
    file = shipped.path("data/digits-unet/unet/config.json")
    return UNetConfig.from_file_fields(json.loads(file.read_text(encoding="utf-8")))


def plan_file(kind: str, plan: Plan, config: Config) -> tuple[str, bytes]:
    """Name and content of a plan's file, for the model it runs on.

    Raises:
        ValueError: for a plan that cannot be said there, saying why.
    """
    target = kind.removeprefix("plan-")
    text = plan.export(target, config)
    return f"plan-{target}{'.json' if target == 'json' else '.py'}", text.encode()


def where_it_runs(plan: Plan, config: Config) -> TableContent:
    """Which programs can run the plan as it is, on the model it was made for."""
    rows: list[list[Cell | str]] = []
    for target, name in TARGETS.items():
        try:
            plan.export(target, config)
        except PlanError as error:
            rows.append([Cell(name), Cell("no"), str(error)])
        else:
            rows.append([Cell(name), Cell("yes", strong=True), _note(plan, target, config)])
    return TableContent(
        [Column("Program"), Column("Runs this plan"), Column("", wrap=True)],
        rows,
        "Where can this plan go?",
        "The export menu writes the file.",
    )


def _note(plan: Plan, target: str, config: Config) -> str:
    """Where its file is, and what to mind there."""
    if target != "deepcache" or "shallow" not in plan.actions or not isinstance(config, UNetConfig):
        return "In the export menu."
    from workbench.diffusion.plan_export.deepcache import package_branch

    found = package_branch(plan.branch, config)
    return f"In the export menu. Branch {plan.branch} here is cache_branch_id {found} there."
