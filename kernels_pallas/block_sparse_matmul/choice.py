"""Whether blocks pay on a CPU, from measurements kept as data in `tuned.json`.

    {"AVX-512": {"measured": [{"rows": 1568, "inputs": 512, "outputs": 512, "block": 64,
                               "density": 0.17, "seconds": {"xla": 0.003, "dense": 0.007}}]}}

A call takes the form that was fastest at the nearest measured one: nearest in the logarithms of
rows, inputs, outputs, the block's side and the density. The density decides most, and counts most.
"""

from __future__ import annotations

import math

from kernels_pallas import tuning
from kernels_pallas.block_sparse_matmul.pattern import BlockPattern
from kernels_pallas.processor import processor

WEIGHTS = {"rows": 1, "inputs": 1, "outputs": 1, "block": 9, "density": 16}
"""Of the squared distance along each axis: ours."""


def fastest(rows: int, pattern: BlockPattern) -> str:
    """The form for a call on this machine's processor: "xla" or "dense".

    Args:
        rows: of x.
        pattern: which blocks are kept.
    """
    if not pattern.kept:
        return "xla"
    side = math.sqrt(math.prod(pattern.block))
    sizes = (rows, pattern.rows, pattern.columns, side, pattern.density)
    return tuning.fastest("block_sparse_matmul", processor(), tuple(WEIGHTS.items()), *sizes)
