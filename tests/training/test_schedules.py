"""Schedules against their equations."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from pydantic import ValidationError

from workbench.training import Recipe, adamw, learning_rate


def rates(**settings: object) -> np.ndarray:
    recipe = Recipe(steps=100, learning_rate=2.0, **settings)
    return np.array([float(learning_rate(recipe)(t)) for t in range(100)])


def test_warmup_is_a_straight_line_to_the_peak() -> None:
    for schedule in ("constant", "cosine", "linear", "wsd"):
        found = rates(schedule=schedule, warmup=10)
        np.testing.assert_allclose(found[:10], 2.0 * np.arange(1, 11) / 10, rtol=1e-6)
        np.testing.assert_allclose(found[10], 2.0, rtol=1e-6)


def test_constant_stays() -> None:
    np.testing.assert_allclose(rates(schedule="constant"), 2.0)


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_and_linear(final: float) -> None:
    p = np.arange(100) / 100
    cosine = [final + (1 - final) * (1 + math.cos(math.pi * x)) / 2 for x in p]
    found = rates(schedule="cosine", final_fraction=final)
    # 1 + cos cancels near the end: float32 leaves an error of the peak's last digits.
    np.testing.assert_allclose(found, 2 * np.array(cosine), rtol=1e-5, atol=5e-7)
    found = rates(schedule="linear", final_fraction=final)
    np.testing.assert_allclose(found, 2 * (1 - (1 - final) * p), rtol=1e-5, atol=5e-7)


def test_wsd_holds_and_then_decays() -> None:
    found = rates(schedule="wsd", decay_fraction=0.25, warmup=5)
    np.testing.assert_allclose(found[5:76], 2.0)
    np.testing.assert_allclose(found[75:], 2 * (1 - np.arange(25) / 25), rtol=1e-5, atol=5e-7)


def test_two_stages_are_two_lines() -> None:
    stages = {"switch_at": 0.4, "first_final_fraction": 0.6, "second_peak_fraction": 0.35}
    found = rates(schedule="two_stage", warmup=5, final_fraction=0.1, **stages)
    first = 1 - 0.4 * (np.arange(5, 40) - 5) / 35
    second = 0.35 - 0.25 * (np.arange(40, 100) - 40) / 60
    np.testing.assert_allclose(found[:5], 2 * np.arange(1, 6) / 5, rtol=1e-6)
    np.testing.assert_allclose(found[5:], 2 * np.concatenate([first, second]), rtol=1e-5)


def test_decay_drops_where_the_second_stage_begins() -> None:
    recipe = Recipe(
        steps=10, learning_rate=1.0, schedule="two_stage", switch_at=0.3, first_final_fraction=1,
        second_peak_fraction=1, final_fraction=1, weight_decay=0.25, second_weight_decay=0,
        clip_norm=None,
    )  # fmt: skip
    optimizer = adamw(recipe)
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    state = optimizer.init(params)
    seen = []
    for _ in range(5):
        zero = jax.tree.map(jnp.zeros_like, params)
        with jax.numpy_dtype_promotion("standard"):
            changes, state = optimizer.update(zero, state, params)
        params = optax.apply_updates(params, changes)
        seen.append(float(params["w"][0, 0]))
    np.testing.assert_allclose(seen, [0.75, 0.75**2, 0.75**3, 0.75**3, 0.75**3], rtol=1e-6)
    assert float(params["b"][0]) == 1


# What a run of the first version was named by; such runs are shipped and kept in stores.
FIRST = {
    "steps": 1000, "batch_size": 64, "learning_rate": 1e-3, "warmup": 0, "schedule": "cosine",
    "final_fraction": 0.0, "decay_fraction": 0.2, "weight_decay": 0.0, "betas": [0.9, 0.999],
    "epsilon": 1e-8, "clip_norm": 1.0, "ema_decay": None, "log_every": 10, "evaluate_every": 0,
    "seed": 0, "version": "1",
}  # fmt: skip


def test_finished_runs_keep_their_identity() -> None:
    assert Recipe().identity() == FIRST
    assert Recipe(checkpoint_every=7).identity() == FIRST
    assert Recipe(accumulation=1, switch_at=0.5).identity() == FIRST
    found = Recipe(accumulation=4, schedule="two_stage", second_weight_decay=0.0).identity()
    later = {"accumulation": 4, "second_weight_decay": 0.0}
    assert found == {**FIRST, "schedule": "two_stage", **later}
    state = adamw(Recipe()).init({"w": jnp.ones((2, 2))})
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    assert names == ["[1][0].count", "[1][0].mu['w']", "[1][0].nu['w']", "[1][2].count"]


def test_settings_that_contradict_each_other_are_named() -> None:
    with pytest.raises(ValidationError, match="accumulation=5: must divide batch_size=64"):
        Recipe(accumulation=5)
    with pytest.raises(ValidationError, match="second_weight_decay=0.0: schedule='cosine' has no"):
        Recipe(second_weight_decay=0.0)
    with pytest.raises(ValidationError, match="warmup=50: must be below update 40"):
        Recipe(steps=100, warmup=50, schedule="two_stage", switch_at=0.4)
