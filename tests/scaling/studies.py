"""Sweeps whose runs have ended, written as files without being run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.runs import Store
from workbench.runs.disk import write_json
from workbench.sweeps import Study
from workbench.sweeps.identity import identity_of

Row = tuple[Mapping[str, Any], Mapping[str, Any], Sequence[Mapping[str, Any]]]


def study_of(store: Store, name: str, rows: Sequence[Row], *, waiting: int = 0) -> Study:
    """A study of finished runs, and of some that have not begun.

    Args:
        store: where.
        name: of the study.
        rows: settings, results and logged rows of each.
        waiting: runs that have not begun.
    """
    plan = []
    for settings, result, logged in rows:
        run = store.run(identity_of(dict(settings), "v"))
        with run.writing() as writer:
            for row in logged:
                writer.log(**row)
            writer.finish(dict(result))
        plan.append({"id": run.id, "settings": dict(settings), "job": 0, "cost": 1, "fence": 0})
    for number in range(waiting):
        settings = {"waiting": number}
        run = store.run(identity_of(settings, "v"))
        plan.append({"id": run.id, "settings": settings, "job": 0, "cost": 1, "fence": 0})
    study = Study(name, store)
    study.folder.mkdir(parents=True)
    write_json(study.folder / "study.json", {"version": "v", "runs": plan})
    return study


def ladder(store: Store, name: str = "ladder", *, waiting: int = 1) -> Study:
    """Three sizes at two lengths, a loss logged at every half of the steps."""
    rows: list[Row] = []
    for size in (1e6, 2e6, 4e6):
        for steps in (100, 200):
            loss = 2 + 40 / size**0.3 + 40 / (1000 * steps) ** 0.3
            logged = [{"step": steps // 2, "loss": loss + 1}, {"step": steps, "loss": loss}]
            result = {"num_params": size, "tokens": 1000 * steps, "val_loss": loss}
            rows.append(({"arch": "dense", "steps": steps, "lr": 1e-3, "n": size}, result, logged))
    return study_of(store, name, rows, waiting=waiting)
