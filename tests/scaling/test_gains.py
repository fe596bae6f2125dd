"""Compute-equivalent gains against the equation solved numerically, one at a time."""

import numpy as np
import pytest
from scipy.optimize import brentq

from tests.scaling.surfaces import TRUTH
from workbench.scaling import Chinchilla, gains
from workbench.scaling.decisions import divided, losses

BETTER = TRUTH | {"A": 0.8 * TRUTH["A"], "B": 0.7 * TRUTH["B"], "alpha": TRUTH["alpha"] + 0.01}


def best_loss(params, compute):
    """L*(C) by the law's own division."""
    size, tokens = divided(Chinchilla(), params, compute)
    return losses(Chinchilla(), params, np.asarray([size]), np.asarray([tokens]))[0]


@pytest.mark.parametrize("compute", [1e18, 1e22])
def test_a_gain_is_that_of_the_equation_solved_one_at_a_time(compute):
    wanted = best_loss(TRUTH, compute)
    assert gains.least_loss(TRUTH, compute) == pytest.approx(wanted, rel=1e-9)
    need = np.exp(brentq(lambda c: best_loss(BETTER, np.exp(c)) - wanted, 1.0, 100.0, xtol=1e-12))
    assert gains.gain(BETTER, TRUTH, compute) == pytest.approx(compute / need, rel=1e-6)


def costly(size):
    """More for small models, as of attention and an embedding."""
    return 6 + 3e5 / np.sqrt(size)


@pytest.mark.parametrize("compute", [1e18, 1e22])
def test_each_method_is_counted_for_itself(compute):
    def least(params, cost, budget):
        def over(log_product):
            size, _ = divided(Chinchilla(), params, np.exp(log_product), 1.0)
            return log_product + np.log(cost(size)) - np.log(budget)

        product = np.exp(brentq(over, 1.0, 100.0, xtol=1e-13))
        return best_loss(params, gains.FLOPS * product)

    for cost in (costly, gains.six):
        found = gains.least_loss(TRUTH, compute, cost)
        assert found == pytest.approx(least(TRUTH, cost, compute), rel=1e-7)
    wanted = least(TRUTH, gains.six, compute)
    need = np.exp(brentq(
        lambda log: least(BETTER, costly, np.exp(log)) - wanted, 20.0, 90.0, xtol=1e-11
    ))  # fmt: skip
    found = gains.gain(BETTER, TRUTH, compute, costly, gains.six)
    assert found == pytest.approx(compute / need, rel=1e-5)
    assert found < gains.gain(BETTER, TRUTH, compute)


def test_a_method_with_a_floor_above_never_gets_there():
    assert gains.gain(TRUTH | {"E": 4.0}, TRUTH, 1e24) == 0
