"""What is said about a form's settings before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.diffusion.plan import PlanError
from workbench.diffusion.planned import PlannedSampling, plan_problems
from workbench.labs.diffusion.foresight import Foresight, plan_of
from workbench.labs.diffusion.methods import group_id, sampling
from workbench.panels.view import Problem, Values
from workbench.study.method import Method
from workbench.study.method import Problem as MethodProblem


def problems(
    method: Method, values: Values, foresight: Foresight, subject: Callable[[], Any]
) -> list[Problem]:
    """Plans that no sampler can run, or that save nothing; and what a method checks itself.

    Args:
        foresight: what runs cost and take at these settings.
        subject: gives the model. Asked only by a method with limits of its own: loading takes
            seconds.
    """
    group = group_id(type(method))
    try:
        found = _of_plan(method, values, foresight) + _own(method, subject)
    except (PlanError, ValueError) as error:
        field = getattr(method, "plan_field", "")
        return [Problem("error", field, str(error), group)]
    return [Problem(p.level, p.field, p.message, group) for p in found]


def _of_plan(method: Method, values: Values, foresight: Foresight) -> list[MethodProblem]:
    if not isinstance(method, PlannedSampling):
        return []
    steps, passes = sampling(values).steps, 1 if sampling(values).guidance == 1 else 2
    plan, field = plan_of(method, steps), method.plan_field or "steps"
    found = plan_problems(plan, steps, foresight.facts.costs, passes, field)
    if any(problem.level == "error" for problem in found):
        return found
    slower = foresight.slower(method)
    return [*found, MethodProblem("warn", field, slower)] if slower else found


def _own(method: Method, subject: Callable[[], Any]) -> list[MethodProblem]:
    if type(method).check in (Method.check, PlannedSampling.check):
        return []
    return method.check(subject())
