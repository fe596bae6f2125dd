"""A product with a matrix of which some blocks are kept: checks and choice of form."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable

import jax

from kernels_pallas import checks, dispatch, tuning
from kernels_pallas.block_sparse_matmul import choice, gradient, reference
from kernels_pallas.block_sparse_matmul.pattern import (
    BlockPattern,
    check_blocks,
    pack_blocks,
    unpack_blocks,
)

__all__ = ["OP", "BlockPattern", "block_sparse_matmul", "pack_blocks", "unpack_blocks"]

OP = dispatch.Op("block_sparse_matmul", pallas=("mosaic_tpu",), cpu=("dense",))


def block_sparse_matmul(
    x: jax.Array,
    blocks: jax.Array,
    pattern: BlockPattern,
    *,
    implementation: str = "auto",
    interpret: bool = False,
) -> jax.Array:
    """x @ W of a matrix W [K, N] kept as its blocks: out[:, j] = sum over kept (i, j) x[:, i] B_ij.

    Blocks as in Gray et al. 2017 ("GPU Kernels for Block-Sparse Weights"); the pattern is static
    here, so that the program holds no step for a block that is not kept. On a CPU the inputs of a
    column of blocks are copied side by side and multiplied at once or, above the density where
    that was measured to pay, the whole matrix is multiplied ("dense"). On accelerators the form is
    XLA's; there is a kernel for TPU, for blocks of 128 x 128, which has not been timed and runs
    where it is asked for.

    Args:
        x: [..., K].
        blocks: [kept blocks, block rows, block columns], from `pack_blocks`.
        pattern: which blocks they are; static under `jit`.
        implementation: "auto"; "reference"; "xla"; "dense"; "pallas"; or "mosaic_tpu".
        interpret: whether the Pallas form runs in the interpreter.

    Returns:
        [..., N] in the dtype of `x`; sums are at least float32 on a CPU.

    Raises:
        ValueError: shapes that do not fit, or a form that does not exist or cannot run here.
        TypeError: inputs that are not floating point or of unequal dtypes, or no pattern.

    Cost: 2 M b k n FLOPs for b kept blocks of k x n, twice that backward; bytes of x, blocks and
        result once (`cost.cost`); on a CPU the copied inputs too (`cost.gathered`).
    """
    op = OP.name
    checks.floating(op, x=x, blocks=blocks)
    checks.alike(op, x=x, blocks=blocks)
    check_blocks(op, blocks, pattern)
    if x.ndim < 1 or 0 in x.shape or x.shape[-1] != pattern.rows:
        raise ValueError(
            f"{op}: x has shape {tuple(x.shape)}; needed [..., {pattern.rows}], no axis empty"
        )
    free = implementation == "auto" and not interpret
    rows = x.reshape(-1, pattern.rows)
    form = OP.choose(
        implementation,
        interpret=interpret,
        unfit=lambda name: _unfit(name, free, rows, pattern),
    )
    forms: dict[str, Callable[..., jax.Array]] = {
        "reference": functools.partial(reference.block_sparse_matmul, pattern=pattern),
        **{
            name: functools.partial(
                gradient.block_sparse_matmul, gradient.How(name, pattern, interpret)
            )
            for name in ("xla", *OP.cpu, *OP.pallas)
        },
    }
    out: jax.Array = dispatch.run(form, forms, rows, blocks, fixed=not free)
    return out.reshape(*x.shape[:-1], pattern.columns)


def _unfit(form: str, free: bool, x: jax.Array, pattern: BlockPattern) -> str:
    """Why a form cannot take these inputs or, where the op is free to choose, does not."""
    if form in OP.pallas:
        if free:
            return f"{form} has not been timed beside XLA's own"
        kernels = importlib.import_module(f"{__name__}.{form}")
        return str(kernels.unfit(x, pattern))
    if not free:
        return ""
    fastest = choice.fastest(x.shape[0], pattern)
    if form == fastest:
        return ""
    return f"the kept blocks alone are faster at this density, {tuning.basis(OP.name)}"
