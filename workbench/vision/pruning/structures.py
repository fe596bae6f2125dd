"""What is pruned together: N of each M inputs, blocks of a matrix, or single weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from workbench.vision.pruning.largest import largest

Weights = Float[Array, "*taps C K"]
Mask = Bool[Array, "*taps C K"]


class Structure(ABC):
    """How weights are kept or dropped, by magnitude.

    Kernels are [R, S, C / groups, K] of a convolution or [C, K] of a dense layer.
    """

    @property
    @abstractmethod
    def sparsity(self) -> float:
        """Share of the weights that is zero in the end."""

    @abstractmethod
    def check(self, shape: tuple[int, ...], name: str) -> None:
        """Raises a ValueError where a kernel of this shape cannot be pruned so, and says why."""

    @abstractmethod
    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether kernels of this shape are pruned at all."""

    @abstractmethod
    def mask(self, kernel: Weights, sparsity: Any = None) -> Mask:
        """Which weights stay.

        Args:
            kernel: the weights.
            sparsity: share that is dropped, which may be traced; the structure's own if None.
        """


@dataclass(frozen=True)
class NOfM(Structure):
    """Of each M input channels in a row the N weights of largest magnitude (Zhou et al. 2021, 3.1).

    For each tap and output channel on its own, as arXiv 2102.04010's code has it. While a schedule
    is under way, M, M - 1, ... of them stay, down to N.

    Args:
        n: weights that stay.
        m: of so many.

    Raises:
        ValueError: naming n or m.
    """

    n: int
    m: int

    def __post_init__(self) -> None:
        for name, value in (("m", self.m), ("n", self.n)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}={value!r}; needed a whole number from 1 on")
        if self.n > self.m:
            raise ValueError(
                f"n={self.n} is above m={self.m}; of {self.m} weights at most {self.m} can stay"
            )

    @property
    def sparsity(self) -> float:
        """1 - N / M."""
        return 1 - self.n / self.m

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Kernels that see more than one channel: depthwise ones have no rows of inputs."""
        return shape[-2] > 1

    def check(self, shape: tuple[int, ...], name: str) -> None:
        """M divides the input channels."""
        if shape[-2] % self.m:
            raise ValueError(
                f"{name}: m={self.m} does not divide its {shape[-2]} input channels; choose an m"
                " that does, or leave the layer dense"
            )

    def mask(self, kernel: Weights, sparsity: Any = None) -> Mask:
        """The N largest of each M, or what a schedule has come to."""
        self.check(kernel.shape, "kernel")
        *taps, inputs, outputs = kernel.shape
        rows = jnp.abs(kernel).reshape(*taps, inputs // self.m, self.m, outputs)
        count: Any = self.n
        if sparsity is not None:
            count = jnp.maximum(self.m - jnp.round(sparsity * self.m).astype(int), self.n)
        kept = largest(jnp.moveaxis(rows, -2, -1), count)
        return jnp.moveaxis(kept, -1, -2).reshape(kernel.shape)


@dataclass(frozen=True)
class Blocks(Structure):
    """Blocks of a pointwise layer's matrix [C, K], by the mean magnitude of their weights.

    The mean is that of Narang et al. 2017 (arXiv 1711.02782) and of Fast Sparse ConvNets' blocks
    (Elsen et al. 2020); squares of 64 are ours, the size that pays on CPUs. A layer narrower than a
    block stays dense, which is ours too. One block of a layer always stays.

    Args:
        density: share of a layer's blocks that stays.
        size: rows and columns of a block.

    Raises:
        ValueError: naming density or size.
    """

    density: float
    size: int = 64

    def __post_init__(self) -> None:
        _share("density", self.density)
        if type(self.size) is not int or self.size < 1:
            raise ValueError(f"size={self.size!r}; needed a whole number from 1 on")

    @property
    def sparsity(self) -> float:
        """1 - density."""
        return 1 - self.density

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Pointwise kernels at least one block wide both ways."""
        return all(tap == 1 for tap in shape[:-2]) and min(shape[-2:]) >= self.size

    def check(self, shape: tuple[int, ...], name: str) -> None:
        """One tap."""
        if any(tap != 1 for tap in shape[:-2]):
            raise ValueError(f"{name}: its kernel is {list(shape)}; blocks are of pointwise layers")

    def grid(self, kernel: Weights, sparsity: Any = None) -> Bool[Array, "down across"]:
        """Which blocks stay; the last ones of a layer may be narrower."""
        self.check(kernel.shape, "kernel")
        matrix = jnp.abs(kernel).reshape(kernel.shape[-2:])
        scores = self._means(matrix)
        dropped = self.sparsity if sparsity is None else sparsity
        count = scores.size - jnp.round(jnp.asarray(dropped * scores.size)).astype(int)
        kept = largest(scores.reshape(-1), jnp.maximum(count, 1))
        return kept.reshape(scores.shape)

    def mask(self, kernel: Weights, sparsity: Any = None) -> Mask:
        """All weights of the blocks that stay."""
        kept = self.grid(kernel, sparsity)
        inputs, outputs = kernel.shape[-2:]
        whole = jnp.repeat(jnp.repeat(kept, self.size, axis=0), self.size, axis=1)
        return whole[:inputs, :outputs].reshape(kernel.shape)

    def _means(self, matrix: Float[Array, "C K"]) -> Float[Array, "down across"]:
        """Of each block, over the weights it really has."""
        size = self.size
        fill = [(0, -side % size) for side in matrix.shape]
        sums = jnp.pad(matrix, fill)
        sums = sums.reshape(sums.shape[0] // size, size, -1, size).sum(axis=(1, 3))
        sides = [
            np.minimum(size, side - size * np.arange(-(-side // size))) for side in matrix.shape
        ]
        return sums / jnp.asarray(np.outer(*sides), sums.dtype)


@dataclass(frozen=True)
class Unstructured(Structure):
    """Single weights of a layer, by magnitude (Zhu & Gupta 2017). No form here runs them faster.

    Args:
        density: share of a layer's weights that stays.

    Raises:
        ValueError: naming density.
    """

    density: float

    def __post_init__(self) -> None:
        _share("density", self.density)

    @property
    def sparsity(self) -> float:
        """1 - density."""
        return 1 - self.density

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Kernels that see more than one channel."""
        return shape[-2] > 1

    def check(self, shape: tuple[int, ...], name: str) -> None:
        """Every kernel can."""

    def mask(self, kernel: Weights, sparsity: Any = None) -> Mask:
        """The largest of the layer."""
        dropped = self.sparsity if sparsity is None else sparsity
        count = kernel.size - jnp.round(jnp.asarray(dropped * kernel.size)).astype(int)
        return largest(jnp.abs(kernel).reshape(-1), count).reshape(kernel.shape)


def _share(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ValueError(f"{name}={value!r}; needed a share above 0, up to 1")
