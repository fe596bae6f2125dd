"""What one layer costs at a context, by formula: arithmetic, traffic, state, and the least time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workbench.labs.language import models
from workbench.measure.cost import Cost
from workbench.measure.roofline import Peaks, roofline


@dataclass(frozen=True)
class LayerCost:
    """One layer (token mixer, feed-forward, norms), one row, at one context.

    Attributes:
        length: tokens.
        macs: multiply-adds of a token, projections and feed-forward included.
        state: bytes of the state after these tokens.
        cost: arithmetic and least traffic of the pass: weights, input and output of a whole text;
            weights and state of one more token.
    """

    length: int
    macs: float
    state: float
    cost: Cost

    def seconds(self, peaks: Peaks) -> float:
        """The least time on a device [s], by the roofline."""
        dtype = "bfloat16" if "bfloat16" in peaks.flops_per_s else next(iter(peaks.flops_per_s))
        return roofline(self.cost, peaks, dtype).seconds


def layer_cost(
    kind: str, width: int, length: int, *, token: bool, cache_bytes: int, weight_bytes: int
) -> LayerCost | None:
    """The cost of a layer of that kind; None where there is no such mixer here.

    Args:
        width: of the model.
        token: one token after `length` others, instead of all `length` at once.
        cache_bytes: of an element of kept keys and values.
        weight_bytes: of a weight and of an activation.
    """
    mixer = models.mixer(kind, width)
    if mixer is None:
        return None
    products, weights = weight_counts(kind, width)
    state = float(mixer.state_bytes(width, length, cache_bytes))
    if token:
        # Keys and values are read, and one token's are added; a recurrent state is written whole.
        recurrent = mixer.state_bytes(width, 2 * length, cache_bytes) == state
        macs = products + mixer.token_macs(width, length)
        moved = weights * weight_bytes + (2 * state if recurrent else state)
        return LayerCost(length, macs, state, Cost(macs=macs, bytes_moved=moved))
    macs = products + mixer.macs(width, length)
    moved = (weights + 2 * width * length) * weight_bytes
    return LayerCost(length, macs, state, Cost(macs=macs * length, bytes_moved=moved))


@functools.cache
def weight_counts(kind: str, width: int) -> tuple[int, int]:
    """A layer's weights: those of products, one multiply-add each a token, and all but vectors.

    The two differ by the kernels of short convolutions, whose multiply-adds are the mixer's own.
    """
    import jax
    from flax import nnx

    from workbench.labs.language.layer_timing import make_layer

    mixer = models.mixer(kind, width)
    assert mixer is not None, "asked for kinds that are here alone"
    abstract = nnx.eval_shape(lambda: make_layer(mixer, width))
    shapes = [leaf.shape for leaf in jax.tree.leaves(nnx.state(abstract, nnx.Param))]
    products = sum(math.prod(shape) for shape in shapes if len(shape) == 2)
    return products, products + sum(math.prod(shape) for shape in shapes if len(shape) > 2)


def lengths(longest: int, shortest: int = 64) -> list[int]:
    """Powers of two from the shortest context to the longest."""
    top = int(math.log2(longest))
    return [2**power for power in range(int(math.log2(shortest)), top + 1)]


def crossing(
    ours: Callable[[int], float], theirs: Callable[[int], float], longest: int
) -> float | None:
    """The context from which ours costs less than theirs, to 2 %; None up to the longest.

    Costs whose ratio falls as contexts grow cross once, so halving the interval finds it.
    """
    low, high = 1, longest
    if ours(high) >= theirs(high):
        return None
    if ours(low) < theirs(low):
        return float(low)
    while high - low > max(1, low // 50):
        middle = (low + high) // 2
        low, high = (low, middle) if ours(middle) < theirs(middle) else (middle, high)
    return float(high)


def crossing_of_points(
    points: Sequence[float], ours: Sequence[float], theirs: Sequence[float]
) -> float | None:
    """Where two measured curves cross for the last time, on a straight line between points of
    logarithmic axes; the first point where ours is less throughout, None where it never is."""
    gaps = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    if not gaps or gaps[-1] >= 0:
        return None
    above = [at for at, gap in enumerate(gaps) if gap >= 0]
    if not above:
        return float(points[0])
    at = above[-1]
    share = gaps[at] / (gaps[at] - gaps[at + 1])
    first, second = math.log(points[at]), math.log(points[at + 1])
    return math.exp(first + share * (second - first))
