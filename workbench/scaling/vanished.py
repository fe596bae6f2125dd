"""Parameters that change nothing where a fit stands: no step leads away from there."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from workbench.scaling.laws.law import Columns, Law

VANISHED = 1e-6
"""A term whose share of the loss is below this in every run is nothing; its logarithm may be
anything, as the loss does not move with it."""

THERE = 1e-3
"""A term whose share is above this in some run can grow or fall again."""


def vanished(law: Law, shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the `[P]` parameters, fitted as logarithms, change nothing.

    Args:
        law: whose.
        shares: `[P]` as of `largest_shares`.
    """
    positive = np.asarray([parameter.positive for parameter in law.parameters])
    return positive & (shares < VANISHED)


def largest_shares(
    law: Law, point: NDArray[np.float64], columns: Columns, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`[P]` largest absolute derivative of a residual by each coordinate, over the runs in use.

    By the logarithm of a term's scale, the derivative of ln L is the term's share of L.

    Args:
        law: which.
        point: `[P]` in the law's coordinates.
        columns: what it reads.
        weights: of each run; 0 leaves it out.
    """
    slopes = np.asarray(_slopes(law, jnp.asarray(point), columns))
    found: NDArray[np.float64] = np.abs(slopes[:, weights > 0]).max(axis=1)
    return found


def put_back(
    law: Law, point: NDArray[np.float64], gone: NDArray[np.bool_]
) -> list[NDArray[np.float64]]:
    """A point with what vanished at the low, then at the high end of its starts."""
    boxes = np.asarray([parameter.box for parameter in law.parameters])
    return [np.where(gone, boxes[:, end], point) for end in (0, 1)]


@functools.partial(jax.jit, static_argnames=("law",))
def _slopes(law: Law, point: Any, columns: Columns) -> Any:
    return law.linear(point, columns)[1]
