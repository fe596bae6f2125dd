"""Training inside a sweep: exact to resume, and cooldowns that are the runs they stand for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sweeps.noted import quietly
from tests.training.line import RECIPE, Line, silent
from workbench.progress import Cancelled
from workbench.runs import Store
from workbench.sweeps import Study, cooldown_points
from workbench.sweeps.cooldowns import branching
from workbench.training import Recipe, train

WSD = Recipe(
    steps=40, learning_rate=0.03, warmup=3, schedule="wsd", decay_fraction=0.25, log_every=1
)


class Interrupted(Line):
    """Stopped by the user before its thirteenth update, the first time."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.mark = mark

    def batch(self, step: int) -> Any:
        if step == 12 and not self.mark.exists():
            self.mark.touch()
            raise Cancelled
        return super().batch(step)


def line(settings: Any, job: Any) -> dict[str, float]:
    recipe = RECIPE.model_copy(update={"learning_rate": settings["rate"]})
    task = Interrupted(job.folder / "interrupted") if settings["stop"] else Line()
    result = job.train(task, recipe)
    return {"loss": float(result.history["loss"].iloc[-1]), "from": result.resumed_from}


@pytest.mark.slow
@pytest.mark.long
def test_a_training_run_is_the_job_s_own_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    grid = [{"rate": 0.03, "stop": False}, {"rate": 0.03, "stop": True}]
    study = quietly(line, grid, store=store)
    assert list(study.table()["state"]) == ["finished", "stopped"]
    study = quietly(line, grid, store=store)
    table = study.table()
    assert list(table["state"]) == ["finished"] * 2 and list(table["from"]) == [0, 10]
    wanted = train(Line(), RECIPE, report=silent).history
    for _, rows in study.curves(["loss", "mae"]).groupby("run"):
        np.testing.assert_array_equal(rows["loss"], wanted["loss"])
        np.testing.assert_array_equal(rows["mae"], wanted["mae"])
    assert all("cpu" in run.provenance()[-1]["devices"] for run in study.runs())


@pytest.mark.slow
def test_branches_are_the_runs_they_stand_for(tmp_path: Path) -> None:
    store, alone = Store(tmp_path / "a"), Store(tmp_path / "b")
    seen: list[int] = []

    def report(done: int, total: int, note: str = "", preview: Any = None) -> None:
        seen.append(done)
        assert total == 30 + 10 + 5 + 3

    found = cooldown_points(
        Line(), WSD, [40, 20, 12], store=store, tokens_per_update=100.0, loss="bias", report=report
    )
    assert [point["branched_at"] for point in found] == [30, 15, 9]
    assert seen == sorted(seen) and seen[-1] == 48
    for point in found:
        recipe = WSD.model_copy(update={"steps": point["steps"]})
        wanted = train(Line(), recipe, store=alone, report=silent)
        assert wanted.run is not None and wanted.run.id == point["branch_id"]
        assert point["loss"] == wanted.evaluation["bias"]
        rows = next(run for run in store.runs() if run.id == point["branch_id"]).rows()
        assert [row["loss"] for row in rows] == list(wanted.history["loss"])
        assert point["n_params"] == 15 and point["n_tokens"] == 100 * point["steps"]
        assert point["flops"] == 6 * 15 * point["n_tokens"]
    charged = sum(point["flops_charged"] for point in found)
    np.testing.assert_allclose(charged, 6 * 15 * 100 * 48)
    assert len(store.runs()) == 3 + 3
    before = [run.status.fence for run in store.runs()]
    again = cooldown_points(
        Line(), WSD, [20, 40], store=store, tokens_per_update=100.0, loss="bias"
    )
    assert [point["loss"] for point in again] == [found[1]["loss"], found[0]["loss"]]
    assert [run.status.fence for run in store.runs()] == before


def cooled(points: Any, job: Any) -> list[dict[str, float]]:
    lengths = [one["steps"] for one in points]
    return cooldown_points(
        Line(), WSD, lengths, store=job.store, tokens_per_update=16, loss="bias", report=job.report
    )


@pytest.mark.slow
def test_a_job_gives_a_point_for_each_cooldown(tmp_path: Path) -> None:
    study = quietly(cooled, {"steps": [12, 20]}, store=Store(tmp_path), together="steps")
    table = study.table()
    assert list(table["state"]) == ["finished"] * 2 and list(table["n_tokens"]) == [192, 320]
    assert {"n_params", "loss", "flops_charged", "parent_id"} <= set(table.columns)
    assert Study("cooled", Store(tmp_path)).progress().finished == 2


def test_a_trunk_needs_a_part_at_constant_rate() -> None:
    assert branching(WSD, 40) == 30
    with pytest.raises(ValueError, match="recipe.schedule is 'cosine'"):
        branching(RECIPE, 40)
    with pytest.raises(ValueError, match="of 4 updates the last 1 decay, which leaves none"):
        branching(WSD, 4)
    with pytest.raises(ValueError, match="give each once"):
        cooldown_points(Line(), WSD, [40, 40], store=Store("unused"), tokens_per_update=1)
