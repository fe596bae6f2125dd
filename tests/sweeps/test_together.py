"""The README's sweep of models trained side by side: real pictures, one job, runs of their own."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.sweeps.noted import quietly
from workbench.datasets import digits
from workbench.runs import Store

README = Path(__file__).parents[2] / "README.md"
STEPS = 50


def of_the_readme() -> dict[str, Any]:
    """What the example defines, and how it calls `sweep`."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [one for one in blocks if "def train_together" in one]
    space: dict[str, Any] = {"__name__": "__main__"}
    space["sweep"] = lambda train, grid, together: space.update(grid=grid, together=together)
    exec(block, space)
    return space


def trained_alone(rate: float, seed: int) -> list[float]:
    """The losses of one of the runs, with no batch of runs anywhere."""
    data = digits(size=8).train
    pictures = jnp.asarray(data.images.reshape(len(data.labels), -1) / 255.0, jnp.float32)
    wanted = jax.nn.one_hot(data.labels, 10)

    def loss(weights: Any) -> Any:
        return -jnp.mean(jnp.sum(wanted * jax.nn.log_softmax(pictures @ weights), axis=1))

    value_and_slope = jax.jit(jax.value_and_grad(loss))
    weights, losses = 0.1 * jax.random.normal(jax.random.key(seed), (64, 10)), []
    for _ in range(STEPS):
        value, slope = value_and_slope(weights)
        weights = weights - jnp.float32(rate) * slope
        losses.append(float(value))
    return losses


@pytest.mark.slow
def test_runs_trained_side_by_side_are_those_trained_alone(tmp_path: Path) -> None:
    space = of_the_readme()
    study = quietly(
        space["train_together"], space["grid"], store=Store(tmp_path), together=space["together"]
    )
    table, curves = study.table(), study.curves()
    assert list(table["state"]) == ["finished"] * 6
    assert len({one["job"] for one in study.plan}) == 1
    for row in table.to_dict("records"):
        wanted = trained_alone(row["rate"], row["seed"])
        assert wanted[-1] < 0.8 * wanted[0], "it learns"
        rows = curves[curves["run"] == row["run"]]
        assert list(rows["step"]) == list(range(1, STEPS + 1))
        np.testing.assert_allclose(rows["loss"], wanted, rtol=2e-5)
        assert row["loss"] == pytest.approx(wanted[-1], rel=2e-5)
    assert table["loss"].nunique() == 6
