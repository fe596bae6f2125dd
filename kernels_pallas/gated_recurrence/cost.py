"""What the gated recurrence costs, as formulas of its shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kernels_pallas.costs import Cost


def forward(shape: Sequence[int], *, decay_size: int = 4, size: int = 4, passes: int = 1) -> Cost:
    """One multiply-accumulate an element; decay and x are read, h is written.

    Args:
        shape: of x, [B, T, ...].
        decay_size: bytes of one decay.
        size: bytes of one element of x.
        passes: 2 where time is cut in pieces: then decay and x are read twice, with two
            multiply-accumulates an element more. The states at the cuts are left out.
    """
    elements = math.prod(shape)
    reads = passes * (decay_size + size)
    return Cost(
        macs=(1 if passes == 1 else 3) * elements,
        bytes_moved=elements * (reads + size) + 4 * (elements // shape[1]),
    )


def backward(shape: Sequence[int], *, decay_size: int = 4, size: int = 4, passes: int = 1) -> Cost:
    """Two multiplications and an addition an element, counted as two multiply-accumulates.

    Decay, h and the gradient of h are read; the gradients of decay and x are written.

    Args:
        shape, decay_size, size, passes: as for `forward`.
    """
    elements = math.prod(shape)
    reads = passes * (decay_size + size) + size
    return Cost(
        macs=(2 if passes == 1 else 4) * elements,
        bytes_moved=elements * (reads + decay_size + size) + 8 * (elements // shape[1]),
    )
