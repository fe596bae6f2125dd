"""Drift against features taken by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workbench.diffusion import driver
from workbench.diffusion.drift import drift
from workbench.diffusion.steps import AHEAD
from workbench.study import Cancelled


@pytest.mark.slow
@pytest.mark.long
def test_drift_is_the_change_of_each_blocks_features(unguided, tiny_unet):
    pipeline = unguided.with_sampling(steps=3)
    inputs = pipeline.inputs((0, 5))
    found = drift(pipeline, inputs)
    assert found.blocks == ("down.0", "down.1", "mid", "up.0", "up.1")
    assert found.relative.shape == found.normalised.shape == (5, 3)
    assert np.isnan(found.relative[:, 0]).all() and np.isfinite(found.relative[:, 1:]).all()

    latents = driver.sample(pipeline, inputs)["latents"]
    before = [inputs.noise, *(jnp.asarray(latents[:, i]) for i in range(2))]
    times = pipeline.scheduler.plan(3).timesteps
    seen = []
    for x, t in zip(before, times, strict=True):
        given = (x, jnp.float32(t), inputs.context)
        values = tiny_unet.run(*given, wanted=found.blocks)
        last = [v[-1] if isinstance(v, tuple) else v for v in values.values()]
        seen.append([np.asarray(v, np.float64) for v in last])
    for step in (1, 2):
        for block in range(5):
            now, then = seen[step][block], seen[step - 1][block]
            gaps = [np.linalg.norm(a - b) for a, b in zip(now, then, strict=True)]
            sizes = [np.linalg.norm(b) for b in then]
            relative = np.mean([g / s for g, s in zip(gaps, sizes, strict=True)])
            normalised = np.mean(np.square(gaps)) / now[0].size
            assert found.relative[block, step] == pytest.approx(relative, rel=1e-3)
            assert found.normalised[block, step] == pytest.approx(normalised, rel=2e-3)


@pytest.mark.slow
def test_progress_is_never_far_ahead_of_the_device(unguided, monkeypatch):
    pipeline, waited, ahead = unguided.with_sampling(steps=6), [], []
    monkeypatch.setattr(jax, "block_until_ready", waited.append)

    def report(done, total, note="", preview=None):
        ahead.append(max(done - 1, 0) - len(waited))  # the first step has no drift to wait for

    drift(pipeline, pipeline.inputs((0, 5)), report)
    assert len(ahead) == 7 and max(ahead[:-1]) == AHEAD


@pytest.mark.slow
def test_a_single_step_has_no_drift_and_stop_is_heard(unguided):
    pipeline = unguided.with_sampling(steps=1)
    assert np.isnan(drift(pipeline, pipeline.inputs((0, 5))).relative).all()

    def stop(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        drift(pipeline, pipeline.inputs((0, 5)), stop)
