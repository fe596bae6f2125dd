"""What the kernels for Hopper GPUs are written in: tiles of 64 rows, products, sums of log decays.

One warpgroup runs each program. Values are float32 in registers, laid out as the tensor core leaves
them; operands are bfloat16, the second one always in shared memory. The interpreter of Mosaic GPU
has no products of transposed or register operands and no layouts: `Unit` says these two things for
it in its own words, all else is the same code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas import hopper
from kernels_pallas.gated_linear_attention.mosaic_gates import NEVER

CHUNK = 64
"""Tokens of a chunk: the rows of one product on the tensor core."""

LEVELS = 7
"""Pairs of rows part nowhere (i = j), or at boundaries with 1, 2, 4, ..., 32 rows on each side."""

LOW = jnp.bfloat16
ROWS, COLUMNS = 1, 0
"""Which axis a vector lacks: one number per row, or per column."""


def tile(rows: int, columns: int) -> Any:
    """Shared memory for a bfloat16 matrix that the tensor core can read."""
    transforms = (plgpu.TilingTransform((8, 64)), plgpu.SwizzleTransform(128))
    return plgpu.SMEM((rows, columns), LOW, transforms=transforms)


def wide_tile(rows: int, columns: int) -> Any:
    """Shared memory for a float32 matrix in the tensor core's layout."""
    transforms = (plgpu.TilingTransform((8, 32)), plgpu.SwizzleTransform(128))
    return plgpu.SMEM((rows, columns), jnp.float32, transforms=transforms)


def stack(count: int, columns: int = CHUNK) -> Any:
    """Shared memory for several tiles of a chunk's rows."""
    transforms = (plgpu.TilingTransform((8, 64)), plgpu.SwizzleTransform(128))
    return plgpu.SMEM((count, CHUNK, columns), LOW, transforms=transforms)


def tiles(stacked: Any, *, hidden: bool = False) -> list[Any]:
    """The tiles of a stack.

    Args:
        stacked: the stack.
        hidden: whether the compiler shall not see where they begin. In a loop it would else find
            all their addresses beforehand, and run out of registers holding them.
    """
    first = unknown(0) if hidden else 0
    return [stacked.at[first + index] for index in range(stacked.shape[0])]


def unknown(number: int) -> jax.Array:
    """A number that the compiler cannot know beforehand."""
    return lax.optimization_barrier(jnp.int32(number))


class Operand(NamedTuple):
    """A factor of a product: a value in registers (the first only), or a reference to a tile."""

    matrix: Any
    transposed: bool = False


class Unit(NamedTuple):
    """The tensor core, or its stand-in.

    Args:
        interpret: whether the kernel runs in the interpreter.
    """

    interpret: bool

    def product(self, *pairs: tuple[Any, Any]) -> jax.Array:
        """The sum of products a b in float32; each factor an `Operand`, a value or a tile."""
        factors = [(_operand(a), _operand(b)) for a, b in pairs]
        if self.interpret:
            return functools.reduce(jnp.add, (_dot(a, b) for a, b in factors))
        (a, b), *_ = factors
        shape = (a.matrix.shape[int(a.transposed)], b.matrix.shape[int(not b.transposed)])

        def accumulate(accumulator: Any) -> jax.Array:
            _add(accumulator, factors)
            return accumulator[...]

        return pl.run_scoped(accumulate, plgpu.ACC(shape, jnp.float32))

    def sums(
        self, starts: Sequence[jax.Array], products: Sequence[Sequence[tuple[Any, Any]]]
    ) -> Sequence[jax.Array]:
        """Each start plus the sum of its products, as of `product`, all on their way at once."""
        if self.interpret:
            added = (self.product(*pairs) for pairs in products)
            return [start + one for start, one in zip(starts, added, strict=True)]

        def accumulate(accumulators: Sequence[Any]) -> None:
            for accumulator, pairs in zip(accumulators, products, strict=True):
                _add(accumulator, pairs)

        found: Sequence[jax.Array] = pl.run_state(accumulate)(
            tuple(plgpu.ACC.init(start) for start in starts)
        )
        return found

    def zeros(self, lacks: int | None = None) -> jax.Array:
        """A chunk's square of zeros, or a vector of one for each row or column."""
        layout = plgpu.Layout.WGMMA if lacks is None else plgpu.Layout.WGMMA.reduce(lacks)
        found = jnp.zeros((CHUNK, CHUNK) if lacks is None else (CHUNK,), jnp.float32)
        return found if self.interpret else plgpu.layout_cast(found, layout)

    def vector(self, values: jax.Array, lacks: int) -> jax.Array:
        """A vector read from shared memory, in the layout of one number per row or column."""
        if self.interpret:
            return values
        return plgpu.layout_cast(values, plgpu.Layout.WGMMA.reduce(lacks))

    def indices(self) -> tuple[jax.Array, jax.Array]:
        """Row and column of each element of a chunk's square.

        A comparison of both is constant in some registers, and the assembler of CUDA 13.0 sets a
        constant register only after the product that reads it: so no compiler may know the column.
        """
        return self._index(0), self._index(1) + unknown(0)

    def _index(self, axis: int) -> jax.Array:
        found = lax.broadcasted_iota(jnp.int32, (CHUNK, CHUNK), axis)
        return found if self.interpret else plgpu.layout_cast(found, plgpu.Layout.WGMMA)

    def summing(self, half: Any) -> jax.Array:
        """The 0/1 matrix whose product with log decays gives each row's sum to its boundary.

        Rows of a second block of `half` sum from the boundary through themselves, rows of a first
        block from behind themselves to the boundary. `half` = 64 sums to the chunk's end, 0 sums
        nothing.
        """
        row, column = self.indices()
        sums = jnp.where((row & half) != 0, column <= row, column > row)
        return _one(sums & ((row ^ column) < half))

    def through(self, backwards: bool = False) -> jax.Array:
        """As `summing`, from the chunk's start through each row; transposed for `backwards`."""
        row, column = self.indices()
        return _one(row <= column if backwards else column <= row)

    def parted(self, half: Any) -> jax.Array:
        """Pairs of rows i > j that part at `half`; i = j for 0."""
        row, column = self.indices()
        apart = row ^ column
        return (column <= row) & (apart >= half) & (apart < jnp.maximum(2 * half, 1))


def half_of(level: jax.Array) -> jax.Array:
    """0, 1, 2, 4, ..., 32 for the levels 0 to 6: see `mosaic_tpu_chunk`."""
    return lax.shift_right_logical(lax.shift_left(jnp.int32(1), level), 1)


def split(log_decay: jax.Array, high_ref: Any, low_ref: Any) -> None:
    """Writes float32 log decays as the sum of two bfloat16 tiles, good to 2^-17."""
    values = jnp.maximum(log_decay, NEVER)
    high = values.astype(LOW)
    high_ref[...] = high
    low_ref[...] = (values - high.astype(jnp.float32)).astype(LOW)
    plgpu.commit_smem()


def load(*copies: tuple[Any, Any], barrier: Any) -> None:
    """Starts copies of (global, shared) references that arrive at a barrier."""
    for source, target in copies:
        plgpu.copy_gmem_to_smem(source, target, barrier)


def store(*copies: tuple[Any, Any]) -> None:
    """Copies (shared, global) references and waits until shared memory is free again."""
    plgpu.commit_smem()
    for source, target in copies:
        plgpu.copy_smem_to_gmem(source, target)
    plgpu.wait_smem_to_gmem(0)


def kernel(
    body: Callable[..., None],
    out: Sequence[jax.ShapeDtypeStruct],
    grid: dict[str, int],
    name: str,
    interpret: Any,
) -> Callable[..., Any]:
    """A kernel over a grid of named axes, one warpgroup a program.

    Args:
        interpret: True for the interpreter, or its parameters.
    """
    return hopper.kernel(
        body,
        interpret=interpret,
        approx_math=True,
        out_type=out,
        grid=tuple(grid.values()),
        grid_names=tuple(grid),
        kernel_name=name,
    )


def _add(accumulator: Any, pairs: Sequence[tuple[Any, Any]]) -> None:
    for pair in pairs:
        plgpu.wgmma(accumulator, *(_reference(_operand(factor)) for factor in pair))


def _one(mask: jax.Array) -> jax.Array:
    return jnp.where(mask, 1.0, 0.0).astype(LOW)


def _operand(given: Any) -> Operand:
    return given if isinstance(given, Operand) else Operand(given)


def _reference(factor: Operand) -> Any:
    return factor.matrix.transpose((1, 0)) if factor.transposed else factor.matrix


def _dot(a: Operand, b: Operand) -> jax.Array:
    left, right = (
        one.matrix if isinstance(one.matrix, jax.Array) else one.matrix[...] for one in (a, b)
    )
    axes = ((0 if a.transposed else 1,), (1 if b.transposed else 0,))
    return lax.dot_general(left, right, (axes, ((), ())), preferred_element_type=jnp.float32)
