"""The cost of an answer, against worked values."""

import numpy as np
import pytest

from workbench.scaling.test_time import (
    B200,
    QWEN3,
    Served,
    constant_state,
    coverage,
    dense,
    sparse,
    visible_keys,
)


@pytest.mark.parametrize(
    ("name", "short", "long", "many", "share"),
    [
        ("0.6B", 2320.5, 35350, 70060, 0.995),
        ("8B", 3112.3, 46084, 94201, 0.981),
        ("32B", 5868.5, 83692, 178207, 0.961),
    ],
)
def test_worked_values(name: str, short: float, long: float, many: float, share: float) -> None:
    model = QWEN3[name]
    assert dense(model, 256, 8192).total / 1e12 == pytest.approx(short, abs=0.06)
    assert dense(model, 256, 32_768).total / 1e12 == pytest.approx(long, abs=0.6)
    assert dense(model, 256, 8192, trials=32).total / 1e12 == pytest.approx(many, abs=0.6)
    assert dense(model, 256, 32_768).traffic_share == pytest.approx(share, abs=6e-4)


@pytest.mark.parametrize(("name", "length"), [("0.6B", 46), ("8B", 392), ("32B", 876)])
def test_where_the_cache_costs_what_the_weights_do(name: str, length: int) -> None:
    def over(output: int) -> bool:
        cost = dense(QWEN3[name], 0, output)
        return cost.total - cost.linear > cost.linear

    assert over(length + 1) and not over(length - 1)


def test_flops_of_an_element() -> None:
    # 2.25e15 FLOP/s in dense bfloat16 over 8e12 B/s, two bytes an element.
    assert B200 == 2.25e15 / 8e12 * 2


def test_visible_keys_are_a_sum() -> None:
    for prompt, output, budget in ((256, 1000, 300), (256, 1000, 100), (10, 20, 1000)):
        steps = np.arange(output) + 0.5
        expected = np.minimum(budget, prompt + steps).sum()
        assert visible_keys(prompt, output, budget) == pytest.approx(expected, rel=1e-3)


def test_a_budget_of_all_keys_is_full_attention() -> None:
    model = QWEN3["8B"]
    full, few = dense(model, 0, 4096), sparse(model, 0, 4096, 1e9)
    assert few.total == pytest.approx(full.total, rel=1e-12)
    assert sparse(model, 0, 4096, 512).total < full.total
    searched = sparse(model, 0, 4096, 512, block=16)
    assert sparse(model, 0, 4096, 512).total < searched.total < full.total


def test_a_state_costs_the_same_for_every_token() -> None:
    model = Served(1e9, state=24 * 4 * 256 * 512)
    one, two = constant_state(model, 4096), constant_state(model, 8192)
    assert two.total == pytest.approx(2 * one.total, rel=1e-12)
    assert one.traffic == 2 * model.state * 4096


def test_coverage_is_of_draws_without_putting_back() -> None:
    found = coverage(32, [0, 1, 16, 32], [1, 2, 32])
    assert found.shape == (4, 3)
    np.testing.assert_allclose(found[:, 0], [0, 1 / 32, 0.5, 1])
    np.testing.assert_allclose(found[2, 1], 1 - (16 * 15) / (32 * 31))
    np.testing.assert_allclose(found[:, 2], [0, 1, 1, 1])
    with pytest.raises(ValueError, match="at most"):
        coverage(8, [1], [9])
