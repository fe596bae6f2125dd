"""The plan taken away: as JSON, for diffusers, for the DeepCache package."""

from __future__ import annotations

from workbench.diffusion.plan import Plan, PlanError
from workbench.panels.picture import Cell, Column, TableContent
from workbench.panels.view import Export

PLAN_MENU = (
    Export("plan-json", "Plan", ".json", behind=True),
    Export("plan-diffusers", "Plan for diffusers", ".py", behind=True),
    Export("plan-deepcache", "Plan for DeepCache", ".py", behind=True),
)
TARGETS = {"json": "JSON", "diffusers": "diffusers, on torch", "deepcache": "DeepCache package"}


def plan_file(kind: str, plan: Plan) -> tuple[str, bytes]:
    """Name and content of a plan's file.

    Raises:
        ValueError: for a plan that cannot be said there, saying why.
    """
    target = kind.removeprefix("plan-")
    text = exported(plan, target)
    return f"plan-{target}{'.json' if target == 'json' else '.py'}", text.encode()


def exported(plan: Plan, target: str) -> str:
    """The plan in the words of another program."""
    return str(plan.export(target))


def where_it_runs(plan: Plan) -> TableContent:
    """Which programs can run the plan as it is."""
    rows: list[list[Cell | str]] = []
    for target, name in TARGETS.items():
        try:
            exported(plan, target)
        except PlanError as error:
            rows.append([Cell(name), Cell("no"), str(error)])
        else:
            rows.append([Cell(name), Cell("yes", strong=True), "In the export menu."])
    return TableContent(
        [Column("Program"), Column("Runs this plan"), Column("", wrap=True)],
        rows,
        "Where can this plan go?",
        "The export menu writes the file.",
    )
