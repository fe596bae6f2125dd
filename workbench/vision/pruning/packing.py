"""Pruned pointwise layers that run from their kept blocks alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from kernels_pallas.block_sparse_matmul import block_sparse_matmul, pack_blocks, unpack_blocks
from workbench.vision.layers import Conv, Dense, along_channels
from workbench.vision.networks.convnet import ConvNet
from workbench.vision.observing import seen, watched


class Packed(nnx.Module):
    """The blocks of a matrix that are not zero, in place of a kernel."""

    unwritable = "this model's kernels are packed and cannot be written; save it before they are"
    stride: int

    def _pack(self, layer: Conv | Dense, block: int) -> None:
        kernel = layer.kernel[...]
        blocks, self.pattern = pack_blocks(kernel.reshape(kernel.shape[-2:]), block)
        self.blocks = nnx.Param(blocks)
        self.shape = tuple(kernel.shape)
        self.bias, self.dtype = layer.bias, layer.dtype

    @property
    def kernel(self) -> Float[Array, "*taps C K"]:
        """The whole kernel, zeros included."""
        return unpack_blocks(self.blocks[...], self.pattern).reshape(self.shape)

    @kernel.setter
    def kernel(self, value: Any) -> None:
        raise ValueError("this layer's kernel is packed; fold batch norms before packing")

    @property
    def kept(self) -> float:
        """Share of the kernel's weights that are computed with, those of partial blocks whole."""
        return self.blocks[...].size / math.prod(self.shape)

    def _run(self, x: Array, pixels: Array) -> Array:
        y = block_sparse_matmul(
            pixels,
            self.blocks[...].astype(self.dtype),
            self.pattern,
            implementation="xla" if watched() else "auto",
        )
        if self.bias is not None:
            y = y + along_channels(self.bias[...], y, self.dtype)
        return seen(self, x, y)


class PackedConv(Packed, Conv):  # type: ignore[misc]  # the kernel is a property here
    """A pointwise convolution from its kept blocks.

    Args:
        layer: the convolution, whose kernel has blocks of zeros.
        block: rows and columns of a block.
    """

    def __init__(self, layer: Conv, block: int):
        self._pack(layer, block)
        self.taps, self.stride, self.groups = layer.taps, layer.stride, layer.groups
        self.padding, self.spread = layer.padding, layer.spread

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w K"]:
        """x * kernel + bias."""
        return self._run(x, x[:, :: self.stride, :: self.stride])


class PackedDense(Packed, Dense):  # type: ignore[misc]  # as above
    """A dense layer from its kept blocks.

    Args:
        layer: the dense layer, whose kernel has blocks of zeros.
        block: rows and columns of a block.
    """

    def __init__(self, layer: Dense, block: int):
        self._pack(layer, block)
        self.spread = layer.spread

    def __call__(self, x: Float[Array, "*B C"]) -> Float[Array, "*B K"]:
        """The product of every pixel."""
        return self._run(x, x)


def packed(model: ConvNet, *, block: int = 64) -> ConvNet:
    """A copy for inference whose pointwise layers with blocks of zeros run from the others alone.

    The same function, by `kernels_pallas.block_sparse_matmul`. Fold batch norms before.

    Args:
        model: pruned; stays as it is.
        block: rows and columns of a block.

    Raises:
        ValueError: a block that is none, or a network without a block of zeros.
    """
    copy: ConvNet = nnx.clone(model)
    owners: list[Any] = [node for _, node in nnx.iter_graph(copy) if isinstance(node, nnx.Module)]
    count = 0
    for owner in owners:
        for name, layer in list(vars(owner).items()):
            if type(layer) in (Conv, Dense) and _has_zero_blocks(layer, block):
                kind = PackedConv if isinstance(layer, Conv) else PackedDense
                setattr(owner, name, kind(layer, block))
                count += 1
    if not count:
        raise ValueError(
            f"{model.config.architecture} has no pointwise layer with {block} x {block} zeros in"
            " place; prune it with Blocks first (N of M leaves weights in every block)"
        )
    return copy


def _has_zero_blocks(layer: Any, block: int) -> bool:
    shape = layer.kernel[...].shape
    if any(tap != 1 for tap in shape[:-2]) or getattr(layer, "groups", 1) != 1:
        return False
    kernel = np.asarray(layer.kernel[...]).reshape(shape[-2:])
    if kernel.all():
        return False
    _, pattern = pack_blocks(layer.kernel[...].reshape(shape[-2:]), block)
    return pattern.density < 1
