"""A law read at given runs, and its division of a budget, without a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from workbench.scaling.flops import FLOPS, ROUNDS
from workbench.scaling.laws.law import Law
from workbench.scaling.solver import in_float64

SERVED = 2.0
"""FLOPs of a parameter and a token in inference."""

Params = Mapping[str, float]

Flops = float | Callable[[float], float]
"""Of a parameter and a token in training; or of a token, as a function of the size."""


@in_float64
def losses(
    law: Law, params: Params, sizes: NDArray[np.float64], tokens: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The law's loss of each run."""
    values = {name: jnp.asarray(value) for name, value in params.items()}
    runs = {"n_params": jnp.asarray(sizes), "n_tokens": jnp.asarray(tokens)}
    return np.asarray(law.predict(values, runs))


@in_float64
def divided(law: Law, params: Params, compute: float, flops: float = FLOPS) -> tuple[float, float]:
    """`(N*, D*)` of a budget in FLOPs."""
    values = {name: jnp.asarray(value) for name, value in params.items()}
    size, tokens = law.optimum(values, jnp.asarray(compute / flops))
    return float(size), float(tokens)


def product(law: Law, params: Params, compute: float, flops: Flops = FLOPS) -> float:
    """N D of the best division of a budget, where a token's cost may follow from the size.

    The law divides N D, so that the cost is that of the size it gives: a fixed point.

    Args:
        law: that divides compute.
        params: its parameters.
        compute: FLOPs.
        flops: what training costs.

    Raises:
        TypeError: a law that divides nothing.
    """
    if not callable(flops):
        return compute / flops
    found = compute / FLOPS
    for _ in range(ROUNDS):
        size, _ = divided(law, params, found, 1.0)
        found = compute * size / flops(size)
    return found
