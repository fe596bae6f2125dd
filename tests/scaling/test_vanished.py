"""Resamples of a fit whose E fell to nothing find those tables that want one."""

import jax
import numpy as np
import pytest

from tests.scaling.surfaces import TRUTH, runs
from workbench.scaling import Chinchilla, Fit, fit
from workbench.scaling.problem import KEPT, POLISH, SEARCH, Problem
from workbench.scaling.resampling import resamples
from workbench.scaling.starts import spread

WITHOUT = {"E": 1e-12, "A": 30.0, "alpha": 0.15, "B": 60.0, "beta": 0.17}
RESAMPLES, SEED = 16, 6


@pytest.fixture(scope="module")
def found() -> Fit:
    return fit(Chinchilla(), runs(WITHOUT, noise=0.01, seed=SEED), bootstrap=RESAMPLES)


def test_what_vanished_is_named(found: Fit) -> None:
    assert found.params["E"] < 1e-6
    assert found.vanished == ("E",) and found.at_bounds == ("E",)
    assert "changes nothing: E" in found.summary()
    whole = fit(Chinchilla(), runs(TRUTH, noise=0.01))
    assert whole.vanished == () and whole.at_bounds == ()


@pytest.mark.slow
def test_no_other_start_finds_a_resample_better(found: Fit) -> None:
    problem = Problem(found.law, found.runs, found.settings)
    residual = found.residuals.to_numpy()
    weights, _ = resamples(found.runs, residual, problem.weights, found.settings)
    assert found.draws is not None
    with jax.enable_x64(True):
        starts = spread(found.law, 64, 0)
        for weight, draw in zip(weights, found.draws, strict=True):
            values = dict(zip(found.law.names, draw, strict=True))
            here = np.asarray(found.law.coordinates(values))[None]
            reached = problem._solve(np.repeat(here, 64, 0), weight[None], 0)[1][0]
            points, at = problem._solve(starts, weight[None], SEARCH)
            best = problem._solve(points[np.argsort(at)[:KEPT]], weight[None], POLISH)[1].min()
            assert reached <= 1.01 * best
    assert 0 < (found.draws[:, 0] > 0.1).mean() < 1, "some want an E and some do not"
