"""The gradients: to x the product with the transposed blocks, to each block its share of xᵀ g."""

from __future__ import annotations

import functools
import importlib
from typing import Any, NamedTuple

import jax
import numpy as np

from kernels_pallas import dispatch
from kernels_pallas.block_sparse_matmul.pattern import BlockPattern
from kernels_pallas.conv2d.gradient import wide


class How(NamedTuple):
    """How a call runs: what is not an array.

    Args:
        form: name of a module here.
        pattern: which blocks are kept.
        interpret: whether a Pallas form runs in the interpreter.
    """

    form: str
    pattern: BlockPattern
    interpret: bool = False

    def multiply(self, x: jax.Array, blocks: jax.Array, pattern: BlockPattern) -> jax.Array:
        """x times the matrix of a pattern."""
        return self._run("block_sparse_matmul", x, blocks, pattern)

    def gradient_of_blocks(self, x: jax.Array, gradient: jax.Array) -> jax.Array:
        """xᵀ g where blocks are kept."""
        return self._run("gradient_of_blocks", x, gradient, self.pattern)

    def _run(self, name: str, left: jax.Array, right: jax.Array, pattern: BlockPattern) -> Any:
        module = importlib.import_module(f"kernels_pallas.block_sparse_matmul.{self.form}")
        if self.form.startswith("mosaic"):
            return getattr(module, name)(left, right, pattern, interpret=self.interpret)
        if dispatch.current_target().platform == "cpu":
            left, right = wide(left), wide(right)
        return getattr(module, name)(left, right, pattern)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def block_sparse_matmul(how: How, x: jax.Array, blocks: jax.Array) -> jax.Array:
    """x [M, K] times the kept blocks, in the form of `how`."""
    return how.multiply(x, blocks, how.pattern).astype(x.dtype)


def _saved(how: How, x: jax.Array, blocks: jax.Array) -> Any:
    return block_sparse_matmul(how, x, blocks), (x, blocks)


def _backward(how: How, saved: Any, gradient: jax.Array) -> Any:
    x, blocks = saved
    turned, order = how.pattern.transposed
    over = blocks[np.array(order, int)].swapaxes(1, 2)
    d_x = how.multiply(gradient, over, turned)
    d_blocks = how.gradient_of_blocks(x, gradient)
    return d_x.astype(x.dtype), d_blocks.astype(blocks.dtype)


block_sparse_matmul.defvjp(_saved, _backward)
