"""Many starts of one robust least-squares problem at once: Levenberg–Marquardt, reweighted.

The objective is a sum over runs of w rho(r), where rho is Huber's function of the residual:
r^2 / 2 up to delta and delta (|r| - delta / 2) beyond. An infinite delta gives half the sum of
squares, a tiny one delta times the sum of absolute values. Each step solves the normal equations
with the weights w min(1, delta / |r|), damped along their own diagonal (Marquardt 1963; Holland and
Welsch 1977 for the weights), and is kept only where the objective falls: it never rises.

Reweighting nears the least sum of absolute values by a constant factor a step, and slowly. Its
steps are therefore stretched in turn, as Richardson (1910) does for linear equations: a long step
after short ones removes what the short ones leave.

The number of steps is fixed. Stopping by data inside a batch would cost the slowest start's steps
for all, and with a delta far below the residuals the gradient jumps and never says that it is done.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from workbench.scaling.laws.law import Columns, Law

BATCH = 64
"""Problems side by side: their Jacobians at 256 runs stay within a core's cache."""

LONGEST_STEP = 10.0
STRETCHES = (1.0, 1.4, 3.0, 13.0)
"""Of a step, in turn: about one over the roots of the Chebyshev polynomial on 0.04 to 1. Where a
stretched step is refused, the damping stays."""
SOFTER, HARDER = 0.3, 4.0
LEAST_DAMPING, MOST_DAMPING = 1e-10, 1e8


class Solved(NamedTuple):
    """Where each of `S` problems ended.

    Attributes:
        coordinates: the law's.
        objective: there.
    """

    coordinates: Float[Array, "S P"]
    objective: Float[Array, " S"]


def huber(residual: Any, delta: Any) -> Any:
    """rho(r), by element."""
    size = jnp.abs(residual)
    inside = jnp.minimum(size, delta)
    return inside * (size - inside / 2)


@functools.partial(jax.jit, static_argnames=("law", "steps"))
def solve(
    law: Law,
    starts: Float[Array, "S P"],
    runs: Columns,
    weights: Float[Array, "S K"],
    shifts: Float[Array, "S K"],
    delta: Float[Array, ""],
    *,
    steps: int,
    chosen: Int[Array, "S K"] | None = None,
) -> Solved:
    """Each start with its own weights of the runs; a weight of 0 leaves a run out.

    Args:
        law: which.
        starts: in the law's coordinates.
        runs: the columns it reads.
        weights: of each run.
        shifts: added to each residual, as if the run had ended there.
        delta: of Huber's function.
        steps: of each start.
        chosen: places of the K runs that each problem looks at, to which its weights and shifts
            belong; all R where left out.
    """

    def one(problem: tuple[Any, Any, Any, Any]) -> Solved:
        start, weight, shift, places = problem
        seen = runs
        if places is not None:
            seen = {name: column[places] for name, column in runs.items()}
        return _descend(law, start, seen, weight, shift, delta, steps)

    return Solved(*jax.lax.map(one, (starts, weights, shifts, chosen), batch_size=BATCH))


def _total(residual: Any, weights: Any, delta: Any) -> Any:
    """The objective; infinite where a residual in use is not a number."""
    found = jnp.sum(jnp.where(weights > 0, weights * huber(residual, delta), 0.0))
    return jnp.where(jnp.isfinite(found), found, jnp.inf)


class _State(NamedTuple):
    """Where one problem stands, and the normal equations there, so that no point is seen twice."""

    point: Float[Array, " P"]
    objective: Float[Array, ""]
    normal: Float[Array, "P P"]
    gradient: Float[Array, " P"]
    damping: Float[Array, ""]


def _descend(
    law: Law, start: Any, runs: Columns, weights: Any, shifts: Any, delta: Any, steps: int
) -> Solved:
    ranges = jnp.asarray([parameter.range for parameter in law.parameters])

    def at(point: Any, damping: Any) -> _State:
        residual, jacobian = law.linear(point, runs)
        residual = residual + shifts
        robust = jnp.minimum(1.0, delta / jnp.maximum(jnp.abs(residual), 1e-300))
        weighted = jnp.where(weights > 0, weights * robust, 0.0)[None] * jacobian
        sums = weighted @ jnp.concatenate([jacobian, residual[None]]).T
        total = _total(residual, weights, delta)
        return _State(point, total, sums[:, :-1], sums[:, -1], damping)

    def step(number: Any, now: _State) -> _State:
        stretch = jnp.asarray(STRETCHES)[number % len(STRETCHES)]
        diagonal = jnp.diagonal(now.normal)
        floor = 1e-12 * jnp.max(diagonal) + 1e-300
        damped = now.normal + jnp.diag(now.damping * diagonal + floor)
        move = -stretch * _solve_positive(damped, now.gradient)
        length = jnp.linalg.norm(move)
        move = move * jnp.minimum(1.0, LONGEST_STEP / jnp.maximum(length, 1e-300))
        softer = jnp.maximum(SOFTER * now.damping, LEAST_DAMPING)
        tried = at(jnp.clip(now.point + move, ranges[:, 0], ranges[:, 1]), softer)
        harder = jnp.minimum(jnp.where(stretch > 1, 1.0, HARDER) * now.damping, MOST_DAMPING)
        better = tried.objective < now.objective
        return jax.tree.map(
            lambda new, old: jnp.where(better, new, old), tried, now._replace(damping=harder)
        )

    first = at(jnp.clip(start, ranges[:, 0], ranges[:, 1]), jnp.asarray(1e-2))
    last = jax.lax.fori_loop(0, steps, step, first)
    return Solved(last.point, last.objective)


def _solve_positive(matrix: Any, right: Any) -> Any:
    """x of A x = b for a small positive definite A, by Cholesky, written out.

    A law has few parameters: unrolled, a batch of them is plain arithmetic that XLA fuses, and
    LAPACK is not called once for each.
    """
    size = matrix.shape[0]
    lower: list[list[Any]] = [[None] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i, j] - sum(lower[i][k] * lower[j][k] for k in range(j))
            if i == j:
                lower[i][i] = jnp.sqrt(jnp.maximum(rest, 1e-300))
            else:
                lower[i][j] = rest / lower[j][j]
    forward: list[Any] = []
    for i in range(size):
        known = sum(lower[i][k] * forward[k] for k in range(i))
        forward.append((right[i] - known) / lower[i][i])
    found: list[Any] = [None] * size
    for i in reversed(range(size)):
        known = sum(lower[k][i] * found[k] for k in range(i + 1, size))
        found[i] = (forward[i] - known) / lower[i][i]
    return jnp.stack(found)


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a function with 64-bit numbers on the CPU; the global setting is not touched.

    Around its least value the objective is flat along a valley in A and alpha, where float32 cannot
    tell its points apart. The problem is small, and accelerators have no float64 or a slow one.
    """

    @functools.wraps(function)
    def inner(*arguments: Any, **named: Any) -> Any:
        with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
            return function(*arguments, **named)

    return inner
