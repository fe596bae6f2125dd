"""What a product with kept blocks costs, as formulas of its pattern."""

from __future__ import annotations

from kernels_pallas.block_sparse_matmul.pattern import BlockPattern
from kernels_pallas.costs import Cost


def cost(rows: int, pattern: BlockPattern, *, itemsize: int = 4, backward: bool = False) -> Cost:
    """MACs = M b k n for b blocks of k x n, twice that backward; bytes of x, blocks, result once.

    Both arithmetic and the weights' bytes fall with the density, those of x and the result do not.
    Backward reads x, blocks and the result's gradient and writes the gradients of the first two.

    Args:
        rows: M.
        pattern: which blocks are kept.
        itemsize: bytes of one element.
        backward: the cost of the backward pass.
    """
    weights = len(pattern.kept) * pattern.block[0] * pattern.block[1]
    x, out = rows * pattern.rows, rows * pattern.columns
    moved = 2 * x + 2 * weights + out if backward else x + weights + out
    return Cost((2 if backward else 1) * rows * weights, moved * itemsize)


def dense(rows: int, pattern: BlockPattern, *, itemsize: int = 4) -> Cost:
    """The product with the whole matrix, for comparison.

    Args:
        rows, pattern, itemsize: as in `cost`.
    """
    weights = pattern.rows * pattern.columns
    moved = rows * (pattern.rows + pattern.columns) + weights
    return Cost(rows * weights, moved * itemsize)


def gathered(rows: int, pattern: BlockPattern, *, itemsize: int = 4) -> int:
    """Bytes of inputs copied side by side in the form "xla": read and written once a kept block.

    Args:
        rows, pattern, itemsize: as in `cost`.
    """
    return 2 * rows * len(pattern.kept) * pattern.block[0] * itemsize
