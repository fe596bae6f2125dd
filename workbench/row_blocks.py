"""Functions of single rows, such as a feed-forward layer's, on a CPU a block of rows at a time.

What a function makes of a block on the way stays in the cache, where that of all rows would go to
memory and back between two products.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from jax import lax
from jaxtyping import Array, Float

ROWS = 1024
"""About so many rows a block; with half and twice as many as fast on the CPUs measured."""
LARGE = 16 << 20
"""Bytes of hidden values from which a CPU's cache does not hold them between two products."""


def by_rows(
    function: Callable[[Array], Array], x: Float[Array, "*R C"], hidden: int
) -> Float[Array, "*R D"]:
    """A function of single rows, on a CPU a block of them at a time where there are many.

    Args:
        function: of an array with as many axes as x, each row apart from the others.
        x: rows under one axis or more.
        hidden: values it makes of each row on the way.
    """
    *axes, width = x.shape
    rows = math.prod(axes)
    block = _block(rows)
    if block in (0, rows) or rows * hidden * x.dtype.itemsize < LARGE:
        return function(x)
    one_block = (*(1 for _ in axes[1:]), block, width)

    def blocked(x: Array) -> Array:
        found = lax.map(function, x.reshape(rows // block, *one_block))
        return found.reshape(*axes, found.shape[-1])

    found: Array = lax.platform_dependent(x, cpu=blocked, default=function)
    return found


def _block(rows: int) -> int:
    """The divisor of `rows` nearest to `ROWS`, within a factor of two; 0 where there is none."""
    near = [block for block in range(ROWS // 2, 2 * ROWS + 1) if rows % block == 0]
    return min(near, key=lambda block: abs(math.log(block / ROWS)), default=0)
