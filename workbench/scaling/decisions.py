"""What a law says to do: gains of a method, the price of another shape, the size to serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from workbench.scaling.flops import FLOPS, ROUNDS
from workbench.scaling.laws.chinchilla import Chinchilla
from workbench.scaling.laws.data_constrained import DataConstrained
from workbench.scaling.laws.law import Law
from workbench.scaling.solver import in_float64

SERVED = 2.0
"""FLOPs of a parameter and a token in inference."""

MOST, HALVINGS = 120.0, 80
"""ln of the most tokens looked at, and how often the range is halved."""

POINTS, REFINED, WIDE = 121, 8, 8.0
"""Points of a grid, how often it is refined, and its half width in ln N."""

Params = Mapping[str, float]

Flops = float | Callable[[float], float]
"""Of a parameter and a token in training; or of a token, as a function of the size."""


def best_loss(law: Law, params: Params, compute: float, flops: float = FLOPS) -> float:
    """L*(C), with compute divided as the law says."""
    size, tokens = divided(law, params, compute, flops)
    return loss_of(law, params, size, tokens)


def loss_of(law: Law, params: Params, size: float, tokens: float) -> float:
    """The law's loss of one run."""
    return float(losses(law, params, np.asarray([size]), np.asarray([tokens]))[0])


@in_float64
def losses(
    law: Law, params: Params, sizes: NDArray[np.float64], tokens: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The law's loss of each run."""
    values = {name: jnp.asarray(value) for name, value in params.items()}
    runs = {"n_params": jnp.asarray(sizes), "n_tokens": jnp.asarray(tokens)}
    return np.asarray(law.predict(values, runs))


def gain(law: Law, params: Params, against: Params, compute: float, flops: float = FLOPS) -> float:
    """Compute-equivalent gain: C over the compute at which `params` does as well as `against` at C.

    Args:
        law: of both.
        params: of the method that may be better.
        against: of the method it is held against.
        compute: C in FLOPs.
        flops: of one parameter and one token.

    Returns:
        Above 1 where the method needs less; 0 where it never gets there, infinite where the other
        never would.
    """
    wanted = best_loss(law, against, compute, flops)
    return compute / compute_for(lambda c: best_loss(law, params, c, flops), wanted)


def penalty(law: Law, params: Params, size: float, tokens: float, flops: float = FLOPS) -> float:
    """Compute of a run over what its loss would cost at the best shape; 1 at the optimum."""
    reached = loss_of(law, params, size, tokens)
    need = compute_for(lambda c: best_loss(law, params, c, flops), reached)
    return flops * size * tokens / need


def compute_for(loss_at: Callable[[float], float], wanted: float) -> float:
    """The compute at which a falling curve reaches a loss; infinite where it never does."""

    def over(log_compute: float) -> float:
        return loss_at(float(np.exp(log_compute))) - wanted

    low, high = 0.0, 230.0
    if over(low) <= 0:
        return 1.0
    if over(high) >= 0:
        return float("inf")
    return float(np.exp(brentq(over, low, high, xtol=1e-12)))


def serving_optimum(
    law: Law, params: Params, loss: float, served_tokens: float, flops: float = FLOPS
) -> dict[str, float]:
    """The size with the least compute over training and serving, for a loss (Sardana et al. 2023).

    Minimises 6 N D + 2 N D_served subject to L(N, D) = loss.

    Args:
        law: of size and tokens.
        params: its parameters.
        loss: to be reached.
        served_tokens: over the model's life.
        flops: of one parameter and one token of training.

    Returns:
        `n_params`, `n_tokens`, `training`, `serving` and `total` in FLOPs.

    Raises:
        ValueError: a loss that the law never reaches.
    """

    def cost(log_sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        sizes = np.exp(log_sizes)
        tokens = tokens_for(law, params, sizes, loss)
        return flops * sizes * tokens + SERVED * sizes * served_tokens

    at = least(cost, np.log(1e3), np.log(1e16))
    if not np.isfinite(cost(np.asarray([at]))[0]):
        raise ValueError(f"loss {loss:g} is below what the law reaches with any size and data")
    size = float(np.exp(at))
    tokens = float(tokens_for(law, params, np.asarray([size]), loss)[0])
    training, serving = flops * size * tokens, SERVED * size * served_tokens
    return {
        "n_params": size,
        "n_tokens": tokens,
        "training": training,
        "serving": serving,
        "total": training + serving,
    }


def tokens_for(
    law: Law, params: Params, sizes: NDArray[np.float64], loss: float
) -> NDArray[np.float64]:
    """The tokens with which each size reaches a loss, by halving; infinite where none do."""
    low, high = np.zeros_like(sizes), np.full_like(sizes, MOST)
    never = losses(law, params, sizes, np.exp(high)) > loss
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = losses(law, params, sizes, np.exp(middle)) > loss
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(never, np.inf, np.exp(high))


def least(
    cost: Callable[[NDArray[np.float64]], NDArray[np.float64]], low: float, high: float
) -> float:
    """Where a function of many points at once is least: grids, each within two steps of the last.

    The function has one valley.
    """
    for _ in range(REFINED):
        points = np.linspace(low, high, POINTS)
        values = cost(points)
        best = int(np.argmin(np.where(np.isnan(values), np.inf, values)))
        low, high = points[max(best - 1, 0)], points[min(best + 1, POINTS - 1)]
    return float((low + high) / 2)


@in_float64
def constrained_optimum(
    law: DataConstrained, params: Params, compute: float, unique: float, flops: float = FLOPS
) -> dict[str, float]:
    """The best division of compute when only so many tokens are unique: a search over ln N.

    Args:
        law: with its base.
        params: its parameters.
        compute: FLOPs.
        unique: tokens.
        flops: of one parameter and one token.
    """
    values = {name: jnp.asarray(value) for name, value in params.items()}

    def cost(log_sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        sizes = np.exp(log_sizes)
        runs = {
            "n_params": jnp.asarray(sizes),
            "n_tokens": jnp.asarray(compute / flops / sizes),
            "unique_tokens": jnp.full(len(sizes), unique),
        }
        return np.asarray(law.predict(values, runs))

    base = params if law.base is None else dict(law.base)
    centre = np.log(divided(Chinchilla(), base, compute, flops)[0])
    at = least(cost, centre - WIDE, centre + WIDE)
    size = float(np.exp(at))
    tokens = compute / flops / size
    return {
        "n_params": size,
        "n_tokens": tokens,
        "epochs": max(1.0, tokens / unique),
        "loss": float(cost(np.asarray([at]))[0]),
    }


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
