"""The lab without its panel: the same form, study and methods."""

from __future__ import annotations

from workbench.labs.diffusion.methods import DEFAULT, chosen, groups, sampling
from workbench.labs.diffusion.sampling_study import study_of
from workbench.panels.view import KnobGroup, Values
from workbench.study.method import Method
from workbench.study.study import Study


def form() -> list[KnobGroup]:
    """The panel's groups of knobs."""
    return groups(DEFAULT)


def study_and_methods(values: Values) -> tuple[Study, list[Method]]:
    """What the panel would run with these settings."""
    return study_of(sampling(values)), chosen(DEFAULT, values)
