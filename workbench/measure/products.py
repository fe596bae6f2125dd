"""Multiply-accumulates of one product equation, from its shapes and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def dot_macs(eqn: Any) -> int:
    """Output elements x contracted length."""
    (lhs_contract, _), _ = eqn.params["dimension_numbers"]
    lhs = eqn.invars[0].aval.shape
    return size(eqn.outvars[0].aval.shape) * size(lhs[axis] for axis in lhs_contract)


def ragged_dot_macs(eqn: Any) -> int:
    """As a dot in which each row of the left side meets one group of the right side."""
    numbers = eqn.params["ragged_dot_dimension_numbers"]
    (lhs_contract, _), _ = numbers.dot_dimension_numbers
    lhs, out = eqn.invars[0].aval.shape, eqn.outvars[0].aval.shape
    if set(numbers.lhs_ragged_dimensions) & set(lhs_contract):
        # The ragged rows are contracted: every group gets its own share of them.
        out = out[1:]
    return size(out) * size(lhs[axis] for axis in lhs_contract)


def conv_macs(eqn: Any) -> int:
    """Output elements x taps x input channels of a group.

    Padding is multiplied, as every published count has it; the holes that ``lhs_dilation`` (a
    transposed convolution) puts between inputs are not, and there only taps on real inputs count.
    """
    params, numbers = eqn.params, eqn.params["dimension_numbers"]
    lhs, rhs = (eqn.invars[i].aval.shape for i in (0, 1))
    out = eqn.outvars[0].aval.shape
    in_channels = rhs[numbers.rhs_spec[1]]
    macs = out[numbers.out_spec[0]] * out[numbers.out_spec[1]] * in_channels
    for axis, hole in enumerate(params["lhs_dilation"]):
        size_in, taps = lhs[numbers.lhs_spec[axis + 2]], rhs[numbers.rhs_spec[axis + 2]]
        size_out = out[numbers.out_spec[axis + 2]]
        if hole == 1:
            macs *= size_out * taps
            continue
        stride, spread = params["window_strides"][axis], params["rhs_dilation"][axis]
        before, _ = params["padding"][axis]
        macs *= taps_on_inputs(size_in, size_out, taps, stride, spread, hole, before)
    return macs


def taps_on_inputs(
    size_in: int, size_out: int, taps: int, stride: int, spread: int, hole: int, padding: int
) -> int:
    """Pairs (output, tap) along one axis that meet a real input, not a hole or padding."""
    span = hole * (size_in - 1)
    hits = 0
    for tap in range(taps):
        start = tap * spread - padding
        hits += sum(
            1
            for position in range(start, start + stride * size_out, stride)
            if 0 <= position <= span and position % hole == 0
        )
    return hits


PRODUCTS: dict[str, Callable[[Any], int]] = {
    "dot_general": dot_macs,
    "ragged_dot_general": ragged_dot_macs,
    "conv_general_dilated": conv_macs,
}

HEAVY = frozenset(
    {
        *("fft", "cholesky", "cholesky_update", "eigh", "eig", "svd", "qr", "geqrf", "lu"),
        *("householder_product", "schur", "hessenberg", "tridiagonal", "tridiagonal_solve"),
        *("triangular_solve", "ffi_call", "pure_callback", "io_callback", "scaled_matmul"),
    }
)


def size(shape: Any) -> int:
    """Product of lengths."""
    product = 1
    for length in shape:
        product *= int(length)
    return product
