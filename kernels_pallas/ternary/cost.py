"""What the ternary ops cost, as formulas of their shapes."""

from __future__ import annotations

from kernels_pallas.costs import Cost
from kernels_pallas.ternary.packing import TILE


def rms_norm_quantize(rows: int, width: int, itemsize: int = 2) -> Cost:
    """Reads x and the gain once, writes a byte an element and a scale a row."""
    moved = rows * width * (itemsize + 1) + width * itemsize + 4 * rows
    return Cost(3 * rows * width, moved, rows)


def ternary_matmul(m: int, k: int, n: int, *, itemsize: int = 4) -> Cost:
    """MACs = M K N over sizes filled to 128; bytes = packed weights + x + scale + out, once."""
    k, n = (-(-size // TILE) * TILE for size in (k, n))
    return Cost(m * k * n, k * n // 4 + m * k + 4 * m + m * n * itemsize)


def bit_linear(m: int, k: int, n: int, *, itemsize: int = 2, backward: bool = False) -> Cost:
    """One product forward and two backward; the weight is read as it is kept, not packed."""
    moved = itemsize * (m * k + k * n + m * n) + m * k + k * n
    if backward:
        return Cost(2 * m * k * n, 2 * moved + itemsize * (m * k + k * n), m)
    return Cost(m * k * n, moved, m)
