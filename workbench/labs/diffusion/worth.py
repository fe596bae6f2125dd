"""Is it worth it? The verdict on every method at the settings on the screen."""

from __future__ import annotations

from collections.abc import Iterable

from workbench.labs.diffusion.scene import Scene
from workbench.panels.picture import TableContent
from workbench.panels.verdicts import verdicts
from workbench.study.comparison import Comparison, Verdict
from workbench.study.method import Method


def worth(scene: Scene, known: Iterable[Comparison]) -> TableContent:
    """One line a method, from the first comparison that has it with these settings."""
    found = list(known)
    return verdicts([(scene.slot(m), _verdict(m, found)) for m in scene.methods[1:]])


def _verdict(method: Method, known: Iterable[Comparison]) -> Verdict:
    for comparison in known:
        trials = comparison.tables.trials
        names = trials["method"][trials["code"] == method.code()].unique()
        if len(names):
            return comparison.verdict(str(names[0]))
    return Verdict("not decided", f"{method.name} is not measured with these settings yet.")
