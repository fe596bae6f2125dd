"""Checks of arithmetic: gradients, bfloat16, strong gates and large inputs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from workbench.language.checking.report import Check
from workbench.language.checking.subject import LENGTH, ROWS, Subject

APART = 1e-3
"""Of gradients from finite differences, over their size."""

UNKNOWN = 0.03
"""Error of finite differences from which on they are no judge."""

ROUNDED = 0.05
"""Of bfloat16 outputs from float32 ones at the end of a text, over their size."""

STEEP = 8.0
"""Length of the gradient's direction, so that a step of 1/16 is neither lost nor far."""

DRIFT_LENGTH = 512
STRENGTHS = (1.0, 30.0, 1000.0)


def gradients(subject: Subject) -> Check:
    """Numbers all, and as finite differences in float64 have them."""
    x, cotangent = subject.texts(), subject.texts(stream=3)
    _, in_weights, in_x = subject.gradients(x, cotangent)
    missing = [name for name, leaf in _named(in_weights, in_x) if not np.isfinite(leaf).all()]
    if missing:
        return Check(
            "gradients",
            "fail",
            f"{len(missing)} of {len(_named(in_weights, in_x))} not finite",
            f"the gradient is no number in {', '.join(missing[:4])}, though outputs are",
        )
    still = [name for name, leaf in _named(in_weights, in_x) if not np.abs(leaf).max()]
    apart, resolution = _from_differences(subject)
    if resolution > UNKNOWN:
        words = "finite differences tell nothing: outputs are too coarse, as of half precision"
        return Check("gradients", "not judged", f"known to {resolution:.0e}", words)
    if not apart <= APART + 2 * resolution:
        return Check(
            "gradients",
            "fail",
            f"{apart:.1e} apart",
            "not what finite differences of its outputs give: a custom gradient or a stopped one",
        )
    words = f"against finite differences, which are known to {resolution:.0e}"
    if still:
        words += f"; nothing depends on {', '.join(still[:4])}"
    return Check("gradients", "pass", f"{apart:.1e} apart", words)


def _named(in_weights: Any, in_x: Any) -> list[tuple[str, np.ndarray]]:
    leaves = jax.tree_util.tree_leaves_with_path(in_weights)
    named = [
        (jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value"), leaf)
        for path, leaf in leaves
    ]
    return [(name, np.asarray(leaf, np.float64)) for name, leaf in [*named, ("x", in_x)]]


def _from_differences(subject: Subject) -> tuple[float, float]:
    """How far slopes lie from differences, and how well those are known, over the slopes' size."""
    try:
        with jax.enable_x64(True):
            return _differences(subject.in_dtype(jnp.float64), jnp.float64)
    except (TypeError, ValueError):  # a kernel, or a mixer's own code, that has no float64
        return _differences(subject, jnp.float32)


def _differences(subject: Subject, dtype: Any) -> tuple[float, float]:
    """The worst of three directions: at random in the weights and in x, and the gradient's own."""
    weights = jax.tree.map(lambda leaf: leaf.astype(dtype), subject.weights)
    x, cotangent = (subject.texts(2, 70, stream).astype(dtype) for stream in (1, 3))
    _, *slopes = subject.gradients(x, cotangent, weights)
    leaves, tree = jax.tree.flatten(slopes)
    slope = [np.asarray(leaf, np.float64) for leaf in leaves]
    draw = np.random.default_rng(subject.seed)
    signs = [np.where(draw.random(leaf.shape) < 0.5, -1.0, 1.0) for leaf in slope]
    in_x = [0.0] * (len(slope) - 1) + [1.0]
    steep = [STEEP * leaf / (_norm(slope) or 1.0) for leaf in slope]
    directions = [
        ([sign * (1 - part) for sign, part in zip(signs, in_x, strict=True)], _norm(slope[:-1])),
        ([sign * part for sign, part in zip(signs, in_x, strict=True)], _norm(slope[-1:])),
        (steep, STEEP * _norm(slope)),
    ]
    worst = (0.0, 0.0)
    for direction, scale in directions:
        parts = jax.tree.unflatten(tree, [jnp.asarray(leaf, dtype) for leaf in direction])

        def value(step: float, parts: Any = parts) -> float:
            moved = _moved([weights, x], parts, step)
            y = np.asarray(subject.whole(moved[1], weights=moved[0]), np.float64)
            return float((y * np.asarray(cotangent, np.float64)).sum())

        told = sum(float((a * b).sum()) for a, b in zip(slope, direction, strict=True))
        best, resolution = _slope(value)
        if scale:
            worst = max(worst, (abs(best - told) / scale, resolution / scale))
        elif abs(best) > resolution:  # no gradient at all, where outputs do change
            return float("inf"), 0.0
    return worst


def _moved(start: Any, direction: Any, step: float) -> Any:
    return jax.tree.map(lambda a, b: a + step * b, start, direction)


def _norm(leaves: list[np.ndarray]) -> float:
    return float(np.sqrt(sum(np.square(leaf).sum() for leaf in leaves)))


def _slope(value: Callable[[float], float]) -> tuple[float, float]:
    """Derivative at 0 and its error: central differences, extrapolated once (Richardson).

    Large steps err by curvature and by corners, small ones by rounding; of all, the one is taken
    from which the next differs least.
    """
    steps = [4.0**-power for power in range(2, 12)]
    plain = [(value(step) - value(-step)) / (2 * step) for step in steps]
    finer = [(16 * small - large) / 15 for large, small in pairwise(plain)]
    moved = np.abs(np.diff(finer))
    at = int(np.argmin(moved))
    return finer[at + 1], float(moved[at])


def rounding(subject: Subject) -> Check:
    """How far bfloat16 lies from float32, at the beginning of a text and at its end."""
    x = subject.texts(2, DRIFT_LENGTH).astype(jnp.bfloat16)
    half = np.asarray(subject.in_dtype(jnp.bfloat16).whole(x), np.float64)
    full = np.asarray(subject.whole(x.astype(jnp.float32)), np.float64)
    apart, size = (
        np.square(one).reshape(2, 4, -1).mean(axis=(0, 2)) for one in (half - full, full)
    )
    quarters = np.sqrt(apart / np.maximum(size, np.finfo(np.float64).tiny))
    first, last = 100 * quarters[0], 100 * quarters[-1]
    figure = f"{first:.2g} % at the beginning, {last:.2g} % at the end"
    if not np.isfinite(quarters).all() or quarters.max() > ROUNDED:
        words = f"of {DRIFT_LENGTH} tokens; at most {100 * ROUNDED:.0f} % is expected"
        if last > 2 * first:
            words += ": errors add up along the text; keep states and gates in float32"
        return Check("bfloat16", "fail", figure, words)
    return Check("bfloat16", "pass", figure, f"from float32, of {DRIFT_LENGTH} tokens")


def extremes(subject: Subject, with_gradients: bool) -> Check:
    """Finite for inputs that drive gates to their ends, and for silence."""
    name, x = "strong gates", np.array(subject.texts())
    rows = [f"x of size {strength:g}" for strength in STRENGTHS]
    for row, strength in enumerate(STRENGTHS):
        x[row] *= strength
    x[3], x[4] = 0.0, 1.0
    rows += ["x = 0", "x = 1 throughout"]
    y = np.asarray(subject.whole(jnp.asarray(x)), np.float64)
    for row, told in enumerate(rows):
        if not np.isfinite(y[row]).all():
            at = int(np.argmax(~np.isfinite(y[row]).all(axis=-1)))
            return Check(name, "fail", told, f"y is no number from token {at} on")
    if not with_gradients:
        return Check(
            name, "pass", ", ".join(rows), "outputs alone: gradients are no numbers as it is"
        )
    for row, told in enumerate(rows):
        # One at a time: the gradient in the weights is a sum over rows.
        only = np.zeros((ROWS, LENGTH, 1), np.float32)
        only[row] = 1.0
        _, in_weights, in_x = subject.gradients(
            jnp.asarray(x), jnp.asarray(np.broadcast_to(only, x.shape))
        )
        bad = [n for n, leaf in _named(in_weights, in_x) if not np.isfinite(leaf).all()]
        if bad:
            return Check(name, "fail", told, f"the gradient is no number in {', '.join(bad[:4])}")
    return Check(name, "pass", ", ".join(rows), "outputs and gradients are finite")
