"""Multi-UNet switching: one network for the early steps of a run, another for the rest.

A-SDM (arXiv 2406.00210): the compressed UNet serves the early steps and the full one the later. At
which step they change is not public; here it is a setting. With costs c of a pass and n steps, s of
them early, a run is n c_full / (s c_small + (n - s) c_full) times as fast as the full one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

from workbench.diffusion.costs import abstract_unet
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.plan import Plan, PlanError, matching
from workbench.diffusion.switch_speed import check_switch


class Stage(NamedTuple):
    """Some steps of a run, all by one network.

    Attributes:
        pipeline: whose network it is.
        plan: of these steps alone.
        first: the number of the first of them in the run.
    """

    pipeline: Pipeline
    plan: Plan
    first: int


def stages(pipeline: Pipeline) -> tuple[Stage, ...]:
    """The networks of a run in turn; one for most pipelines."""
    if isinstance(pipeline, SwitchedPipeline):
        return pipeline.stages
    return (Stage(pipeline, pipeline.plan, 0),)


@dataclass(frozen=True, eq=False)
class SwitchedPipeline(Pipeline):
    """A pipeline whose first steps another network makes.

    A plan spans the run. The first step of the second network is in full, whatever the plan says:
    there is nothing of its own to reuse yet.

    Args:
        early: whose network makes the first steps; all its settings but network and precision are
            this pipeline's.
        switch: how many; 0 for none, all steps for this network never to run.
    """

    early: Pipeline | None = None
    switch: int = 0

    @classmethod
    def of(cls, pipeline: Pipeline, early: Pipeline, switch: int) -> Self:
        """`pipeline` with `early`'s network for its first `switch` steps.

        Raises:
            ValueError: more steps than the run has, or networks that do not read and draw the same.
        """
        if isinstance(pipeline, SwitchedPipeline) or isinstance(early, SwitchedPipeline):
            raise ValueError(f"{pipeline.name} switches networks already")
        for name in ("in_channels", "out_channels", "cross_attention_dim"):
            ours, theirs = getattr(pipeline.config, name), getattr(early.config, name)
            if ours != theirs:
                raise ValueError(
                    f"{early.name} is of another form: {name} is {theirs}, and {pipeline.name} has"
                    f" {ours}"
                )
        check_switch(switch, pipeline.steps)
        own: dict[str, Any] = {
            field.name: getattr(pipeline, field.name) for field in fields(Pipeline)
        }
        own |= {"name": f"{early.name}, then {pipeline.name}", "folder": ""}
        found = cls(**own, early=early, switch=switch)
        return found.with_plan(pipeline.plan)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One or two."""
        actions, at = self.plan.actions, self.switch
        assert self.early is not None, "made by `of`"
        found = []
        if at:
            found.append(Stage(self.early, replace(self.plan, actions=actions[:at]), 0))
        if at < self.steps:
            rest = ("full", *actions[at + 1 :])
            found.append(Stage(self, replace(self.plan, actions=rest), at))
        return tuple(found)

    @cached_property
    def fingerprint(self) -> str:
        assert self.early is not None
        parts = (super().fingerprint, self.early.fingerprint, self.switch)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def with_plan(self, plan: Plan) -> Self:
        """Another plan, which both networks can follow.

        Raises:
            ValueError: fewer steps than the early ones, or a branch or name that the early network
                does not have.
        """
        check_switch(self.switch, plan.steps)
        assert self.early is not None
        early = abstract_unet(self.early.config)
        if "shallow" in plan.actions and plan.branch >= early.branches:
            raise PlanError(
                f"Branch must be between 0 and {early.branches - 1} for {self.early.name}."
                f" You gave {plan.branch}"
            )
        if "inherit" in plan.actions:
            known = (*early.program.blocks, *early.layer_names(), *early.unit_names())
            matching(plan.inherited, known)
        return replace(self, plan=plan, steps=plan.steps)

    def with_sampling(
        self, *, steps: int | None = None, guidance: float | None = None, sampler: str | None = None
    ) -> Pipeline:
        check_switch(self.switch, self.steps if steps is None else steps)
        return super().with_sampling(steps=steps, guidance=guidance, sampler=sampler)
