"""The lab on a diffusion transformer: its own caches stand among the methods."""

import jax
import numpy as np
import pytest

from tests.labs import tiny
from workbench.labs import diffusion
from workbench.labs.diffusion.methods import DEFAULT, TRANSFORMER, methods_for
from workbench.labs.diffusion.view import DiffusionView
from workbench.panels.settings import accepted, start
from workbench.progress import silent


@pytest.fixture(scope="module")
def transformer():
    return tiny.dit_pipeline().with_size(16, 16)  # SSIM needs 11 pixels a side


def test_a_transformer_is_compared_under_its_caches(transformer):
    assert methods_for(None) == DEFAULT and methods_for(transformer) == TRANSFORMER
    panel = diffusion.open(pipeline=transformer)
    names = [method.name for method in panel.view.methods]
    assert names == ["Encoder propagation", "TaylorSeer", "First-block cache", "Fewer steps"]
    assert panel.status["kind"] != "invalid", panel.status
    last = panel.view.presets[2]
    assert last.label == "Every fourth step in full, the rest forecast"
    panel.load(last.values)
    assert panel.settings["taylorseer"]["order"] == 4
    assert panel.settings["sampling"]["look"] == "TaylorSeer"
    panel.close()
    with pytest.raises(ValueError, match="methods is empty"):
        diffusion.open(methods=[], pipeline=transformer)


@pytest.mark.slow
def test_a_run_measures_the_caches(home, transformer):
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        view = DiffusionView(TRANSFORMER, transformer)
        given = {"sampling": {"steps": 6, "seeds": 8}, "taylorseer": {"interval": 2}}
        values = accepted(view, start(view, given))
        assert not [problem for problem in view.check(values) if problem.level == "error"]
        picture = list(view.run(values, silent))[-1]
    finally:
        jax.config.update("jax_disable_most_optimizations", False)
    assert picture.basis == "measured"
    rows = picture.contents["grid"].rows
    assert [row.label for row in rows] == ["Full sampling", *(m.name for m in TRANSFORMER)]
    points = view.measured[view._context(values)]
    seconds = {point.method: point.seconds for point in points.values()}
    assert all(known is not None for known in seconds.values())
    shares = {point.method: point.share for point in points.values()}
    # Which steps a first-block cache runs is known after the run alone.
    assert np.isnan(shares["First-block cache"]) and shares["TaylorSeer"] < 1
