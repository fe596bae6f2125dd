"""95 % intervals: of means, of shares, of numbers about a whole set, and of paired differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.975
Z = 1.959963984540054
"""Quantile of the normal distribution at `LEVEL`."""
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; the ends are NaN where too few values speak."""

    value: float
    low: float
    high: float
    count: int

    @property
    def known(self) -> bool:
        return math.isfinite(self.low)

    def above(self, threshold: float) -> bool:
        return self.known and self.low > threshold

    def below(self, threshold: float) -> bool:
        return self.known and self.high < threshold

    def times(self, factor: float) -> Interval:
        """The same in another unit; the factor is positive."""
        return Interval(self.value * factor, self.low * factor, self.high * factor, self.count)


def mean(values: Sequence[float] | np.ndarray) -> Interval:
    """Mean with Student's t interval, n - 1 degrees of freedom; values that are no number left out.

    Of differences by seed or by round it is the interval of a paired comparison.
    """
    import numpy as np
    from scipy.special import stdtrit

    numbers = np.asarray(values, dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    count = len(numbers)
    if count == 0:
        return Interval(UNKNOWN, UNKNOWN, UNKNOWN, 0)
    middle = float(numbers.mean())
    if count < 3:
        return Interval(middle, UNKNOWN, UNKNOWN, count)
    half = float(stdtrit(count - 1, LEVEL) * numbers.std(ddof=1) / np.sqrt(count))
    return Interval(middle, middle - half, middle + half, count)


def jackknife(value: float, without: Sequence[float] | np.ndarray) -> Interval:
    """A number about n seeds with the interval that leaving out one at a time gives (Tukey 1958).

    Variance (n - 1) / n Σ (θ₍ᵢ₎ - mean θ₍.₎)², Student's t with n - 1 degrees of freedom. Drawing
    seeds with replacement would count a picture beside itself, which diversity and kernel distances
    take for a real pair. Valid for smooth numbers; a median or a maximum is none. The differences
    of two methods' values without seed i give the paired interval of the difference.

    Args:
        value: from all seeds.
        without: the same number without seed i, for each i.
    """
    import numpy as np
    from scipy.special import stdtrit

    left_out = np.asarray(without, dtype=float)
    count = len(left_out)
    if count < 4:
        return Interval(value, UNKNOWN, UNKNOWN, count)
    half = float(stdtrit(count - 1, LEVEL) * np.sqrt((count - 1) * np.var(left_out)))
    return Interval(value, value - half, value + half, count)


def bootstrap(
    statistic: Callable[[np.ndarray], float], count: int, draws: int = 2000, seed: int = 0
) -> Interval:
    """A number about n seeds with the interval of drawing them again (Efron 1979, percentiles).

    For numbers without a smooth form, such as the area of a front. Not for ones that pair a seed
    with another: a seed drawn twice would stand beside itself.

    Args:
        statistic: the number, from the places of the seeds drawn.
        count: how many seeds there are.
        draws: how often they are drawn.
        seed: of the draws.
    """
    import numpy as np

    value = float(statistic(np.arange(count)))
    if count < 3:
        return Interval(value, UNKNOWN, UNKNOWN, count)
    draw = np.random.default_rng(seed)
    values = [statistic(draw.integers(0, count, count)) for _ in range(draws)]
    low, high = np.quantile(values, (1 - LEVEL, LEVEL))
    return Interval(value, float(low), float(high), count)


def share(successes: float, count: int) -> Interval:
    """A share with its score interval (Wilson 1927), which is not empty where all agree.

    Args:
        successes: how many; a tie may count half.
    """
    if count == 0:
        return Interval(UNKNOWN, UNKNOWN, UNKNOWN, 0)
    rate, spread = successes / count, Z * Z / count
    centre = (rate + spread / 2) / (1 + spread)
    half = math.sqrt(rate * (1 - rate) * spread + spread * spread / 4) / (1 + spread)
    # At a share of 0 or 1 one end is the share itself, up to rounding.
    low, high = max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))
    return Interval(rate, low, high, count)


def share_difference(
    first: Sequence[bool] | np.ndarray, second: Sequence[bool] | np.ndarray
) -> Interval:
    """Share of `first` less that of `second`, answers paired (Newcombe 1998, method 10).

    Both shares' Wilson intervals are squared and added, less twice their product with φ, the
    correlation of the answers. Where every pair agrees, Student's t would claim a difference of
    exactly 0; this is as wide as the two shares are uncertain.

    Args:
        first, second: yes or no, one for each pair, in the same order.
    """
    import numpy as np

    mine, theirs = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    count = len(mine)
    one, two = share(int(mine.sum()), count), share(int(theirs.sum()), count)
    if count == 0:
        return one
    value, phi = one.value - two.value, _correlation(mine, theirs)

    def half(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    return Interval(
        value,
        max(-1.0, value - half(one.value - one.low, two.high - two.value)),
        min(1.0, value + half(one.high - one.value, two.value - two.low)),
        count,
    )


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """φ of two rows of answers, a positive one corrected towards 0 as Newcombe says."""
    count = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    margins = first.sum() * (~first).sum() * second.sum() * (~second).sum()
    if margins == 0:
        return 0.0
    product = float(both * neither - only_first * only_second)
    if product > 0:
        product = max(0.0, product - count / 2)
    return product / math.sqrt(float(margins))
