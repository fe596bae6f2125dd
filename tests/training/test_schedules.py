"""Schedules against their equations."""

import math

import numpy as np
import pytest

from workbench.training import Recipe, learning_rate


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
