"""How long a pointwise layer takes from its kept blocks, at several densities, on this device."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from kernels_pallas.block_sparse_matmul import block_sparse_matmul, pack_blocks, unpack_blocks
from workbench.measure.timing import interleaved
from workbench.progress import Report, silent
from workbench.vision.latency import Clock
from workbench.vision.pruning.density_timed import DensityTimed

DENSITIES = (0.75, 0.5, 0.33, 0.17, 0.08)
REPEATS = 7
LEAST = 0.02
"""Seconds of a sample at least, so that short calls are timed many times over."""


def time_densities(
    rows: int,
    inputs: int,
    outputs: int,
    *,
    block: int = 64,
    densities: Sequence[float] = DENSITIES,
    repeats: int = REPEATS,
    clock: Clock = "wall",
    report: Report = silent,
) -> list[DensityTimed]:
    """The dense product and that of the kept blocks by turns, each density in a run of its own.

    Patterns are random, of one density in the whole matrix, and both results are compared.

    Args:
        rows: pixels of the batch.
        inputs, outputs: channels.
        block: rows and columns of a block.
        densities: shares of blocks that are kept.
        repeats: rounds.
        clock: whose seconds: the wall's, or the processor's, all threads together.
        report: called as it goes on; it stops the timing by raising.

    Raises:
        AssertionError: results that differ.
    """
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((rows, inputs), np.float32))
    w = jnp.asarray(rng.standard_normal((inputs, outputs), np.float32) / np.float32(inputs**0.5))
    grid = -(-inputs // block), -(-outputs // block)
    total = math.prod(grid)
    found = []
    for number, density in enumerate(densities):
        report(number, len(densities), f"{100 * density:.0f} % of the blocks")
        count = max(1, round(density * total))
        keep = rng.permutation(total).reshape(grid) < count
        blocks, pattern = pack_blocks(w, block, keep=keep)
        whole = unpack_blocks(blocks, pattern)
        op = jax.jit(functools.partial(block_sparse_matmul, pattern=pattern, implementation="xla"))
        calls = {
            "dense": functools.partial(jax.jit(jnp.matmul), x, whole),
            "blocks": functools.partial(op, x, blocks),
        }
        away = float(jnp.max(jnp.abs(calls["dense"]() - calls["blocks"]())))
        assert away < 1e-3, f"both results are {away} apart"
        timed = interleaved(calls, repeats=repeats, min_time=LEAST)
        whole_time, sparse_time = (
            np.array(one.samples if clock == "wall" else one.cpu_samples)
            for one in (timed["dense"], timed["blocks"])
        )
        quartiles = np.quantile(whole_time / sparse_time, (0.25, 0.5, 0.75))
        low, middle, high = (float(q) for q in quartiles)
        found.append(
            DensityTimed(
                rows, inputs, outputs, block, pattern.density, float(np.median(whole_time)),
                float(np.median(sparse_time)), middle, low, high, repeats,
            )
        )  # fmt: skip
    return found
