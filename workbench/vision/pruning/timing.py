"""How long pruned layers and networks take from their kept blocks, on this device."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels_pallas.block_sparse_matmul import block_sparse_matmul, pack_blocks, unpack_blocks
from workbench.measure.roofline import Peaks
from workbench.measure.timing import Timing, interleaved
from workbench.progress import Report, silent
from workbench.vision.architectures import published
from workbench.vision.latency import Clock, ready, time_blocks
from workbench.vision.pruning.density_timed import BLOCKS, N_OF_M, DensityTimed, NetworkTimed
from workbench.vision.pruning.masking import density, masked, masks
from workbench.vision.pruning.modelling import modelled
from workbench.vision.pruning.packing import packed
from workbench.vision.pruning.structures import Blocks, NOfM

DENSITIES = (0.75, 0.5, 0.33, 0.17, 0.08)
ROWS_OF_INPUTS = (NOfM(2, 4), NOfM(1, 4))
SIXTH = 0.17
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
    n_of_m: Sequence[NOfM] = ROWS_OF_INPUTS,
    repeats: int = REPEATS,
    clock: Clock = "wall",
    report: Report = silent,
) -> list[DensityTimed]:
    """The dense product and that of the kept blocks by turns, each density in a run of its own.

    Blocks are kept at random, of one density in the whole matrix. N of M leaves weights in every
    block, so the same op multiplies all of them. Results are compared.

    Args:
        rows: pixels of the batch.
        inputs, outputs: channels.
        block: rows and columns of a block.
        densities: shares of blocks that are kept.
        n_of_m: structures that keep N of each M inputs, timed after them.
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
    cases: list[float | NOfM] = [*densities, *n_of_m]
    for number, asked in enumerate(cases):
        if isinstance(asked, NOfM):
            structure, words = N_OF_M, f"{asked.n} of {asked.m}"
            blocks, pattern = pack_blocks(jnp.where(asked.mask(w), w, 0), block)
        else:
            structure, words = BLOCKS, f"{100 * asked:.0f} % of the blocks"
            keep = rng.permutation(total).reshape(grid) < max(1, round(asked * total))
            blocks, pattern = pack_blocks(w, block, keep=keep)
        report(number, len(cases), words)
        whole = unpack_blocks(blocks, pattern)
        op = jax.jit(functools.partial(block_sparse_matmul, pattern=pattern, implementation="xla"))
        calls = {
            "dense": functools.partial(jax.jit(jnp.matmul), x, whole),
            "sparse": functools.partial(op, x, blocks),
        }
        away = float(jnp.max(jnp.abs(calls["dense"]() - calls["sparse"]())))
        assert away < 1e-3, f"both results are {away} apart"
        timed = interleaved(calls, repeats=repeats, min_time=LEAST)
        share = asked.n / asked.m if isinstance(asked, NOfM) else pattern.density
        ratio = _ratio(timed, clock)
        found.append(DensityTimed(rows, inputs, outputs, block, share, *ratio, repeats, structure))
    return found


def time_network(
    name: str,
    peaks: Peaks,
    *,
    batch: int = 8,
    block: int = 64,
    share: float = SIXTH,
    repeats: int = REPEATS,
    clock: Clock = "wall",
    report: Report = silent,
) -> NetworkTimed:
    """A published network with fresh weights, whole and from its kept blocks by turns.

    Args:
        name: of its table.
        peaks: of this device, for what is modelled.
        batch: pictures.
        block: rows and columns of a block; narrower layers stay dense.
        share: of the blocks, kept in every pruned layer.
        repeats, clock, report: as in `time_densities`.

    Raises:
        ValueError: a name there is not, or a network without a layer that wide.
    """
    structure, whole = Blocks(share, size=block), ready(published(name))
    kept = masks(whole, structure)
    sparse = packed(masked(whole, kept), block=block)
    channels, height, width = whole.config.preprocessing.input_size
    calls: dict[str, Callable[[Any], Any]] = {"dense": whole, "sparse": sparse}
    timed = time_blocks(calls, (batch, height, width, channels), repeats=repeats, report=report)
    bound = modelled(whole, structure, kept, peaks, batch=batch).speedup
    return NetworkTimed(name, batch, block, density(kept), *_ratio(timed, clock), bound, repeats)


def _ratio(timed: Mapping[str, Timing], clock: Clock) -> tuple[float, float, float, float, float]:
    """Medians of dense and sparse; dense over sparse round by round: median and quartiles."""
    dense, sparse = (
        np.array(one.samples if clock == "wall" else one.cpu_samples)
        for one in (timed["dense"], timed["sparse"])
    )
    low, middle, high = np.quantile(dense / sparse, (0.25, 0.5, 0.75))
    numbers = np.median(dense), np.median(sparse), middle, low, high
    return tuple(float(number) for number in numbers)  # type: ignore[return-value]
