"""What rounding to -1, 0, 1 does to a model's matrices: shares, errors, and sizes by format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from kernels_pallas import bit_linear
from workbench.language.bit_linear import BitLinear, ternary
from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder
from workbench.language.packed import bit_linears
from workbench.model_files.abstract import abstract
from workbench.progress import Report, silent

EDGES = np.linspace(-4, 4, 81)
"""Of the histogram's bins, in units of a matrix's mean |W|; what lies outside is in the last."""

Shape = tuple[int, int]


@dataclass(frozen=True)
class MatrixReport:
    """One ternary layer.

    Attributes:
        name: its place in the model, as in a file.
        shape: [in, out].
        size: mean |W|, what a sign stands for.
        shares: of -1, 0 and 1 among its weights.
        counts: latent weights in each bin of `EDGES`.
        weight_error: |W - size signs| / |W|, Frobenius norms.
        output_error: the same of the layer's output for normal inputs, activations rounded too.
    """

    name: str
    shape: Shape
    size: float
    shares: tuple[float, float, float]
    counts: np.ndarray
    weight_error: float
    output_error: float

    @property
    def entropy(self) -> float:
        """Bits a weight that a perfect code of these shares takes."""
        shares = np.array([share for share in self.shares if share > 0])
        return float(-np.sum(shares * np.log2(shares)))


def report(
    model: Decoder, *, rows: int = 64, seed: int = 0, progress: Report = silent
) -> list[MatrixReport]:
    """Every ternary layer of a model, in its order.

    Args:
        model: with latent weights.
        rows: inputs, drawn from N(0, 1), for the error of the output.
        seed: of the inputs.
        progress: called before each layer.

    Raises:
        ValueError: a model without ternary layers that hold latent weights.
    """
    layers = list(bit_linears(model))
    if not layers:
        raise ValueError(
            f"linears={model.config.linears!r}: there is no ternary layer with latent weights"
        )
    found = []
    for place, (path, layer) in enumerate(layers):
        name = ".".join(map(str, path))
        progress(place, len(layers), name)
        key = jax.random.fold_in(jax.random.key(seed), place)
        found.append(_matrix(name, layer, rows, key))
    return found


def _matrix(name: str, layer: BitLinear, rows: int, key: Array) -> MatrixReport:
    kernel = layer.kernel[...].astype(jnp.float32)
    x = jax.random.normal(key, (rows, kernel.shape[0]))
    found = _statistics(kernel, layer.norm.scale[...], x, layer.norm.eps)
    size, shares, counts, weight_error, output_error = map(np.asarray, found)
    return MatrixReport(
        name=name,
        shape=(kernel.shape[0], kernel.shape[1]),
        size=float(size),
        shares=(float(shares[0]), float(shares[1]), float(shares[2])),
        counts=counts,
        weight_error=float(weight_error),
        output_error=float(output_error),
    )


@partial(jax.jit, static_argnums=3)
def _statistics(kernel: Array, gain: Array, x: Array, eps: float) -> tuple[Array, ...]:
    """Size, shares, counts, and both errors."""
    signs, size = ternary(kernel)
    shares = jnp.stack([jnp.mean((signs == sign).astype(jnp.float32)) for sign in (-1, 0, 1)])
    edges = jnp.asarray(EDGES, jnp.float32)
    inside = jnp.clip(kernel / size, edges[0], edges[-1]).reshape(-1)
    counts = jnp.histogram(inside, edges)[0].astype(jnp.int32)
    root = jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + eps)
    wanted = jnp.matmul(x * root * gain[None], kernel, precision="highest")
    output_error = _relative(bit_linear(x, kernel, gain, eps=eps), wanted)
    return size, shares, counts, _relative(signs.astype(jnp.float32) * size, kernel), output_error


def _relative(given: Array, wanted: Array) -> Array:
    least = jnp.float32(np.finfo(np.float32).tiny)
    return jnp.linalg.norm(given - wanted) / jnp.maximum(jnp.linalg.norm(wanted), least)


def _triples(k: int, n: int) -> int:
    """Five bits for three weights of a column; what six do not divide, four bits for two."""
    whole = k - k % 6
    bits = whole // 3 * 5 + -(-(k - whole) // 2) * 4
    return -(-n * bits // 8)


FORMATS: dict[str, Callable[[int, int], int]] = {
    "float32": lambda k, n: 4 * k * n,
    "bfloat16": lambda k, n: 2 * k * n,
    "int8": lambda k, n: k * n + 4,
    "2 bits": lambda k, n: -(-k * n // 4) + 4,
    "2 bits, tiles of 128 (as here)": lambda k, n: -(-k // 128) * -(-n // 128) * 4096 + 4,
    "base 3, five a byte (as here)": lambda k, n: -(-k // 5) * n + 4,
    "I2_S (bitnet.cpp)": lambda k, n: -(-k * n // 128) * 32 + 4,
    "TL1 (bitnet.cpp)": lambda k, n: -(-k // 2) * n // 2 + 4,
    "TL2 (bitnet.cpp)": lambda k, n: _triples(k, n) + 4,
    "TQ1_0 (llama.cpp)": lambda k, n: -(-k // 256) * n * 54,
    "TQ2_0 (llama.cpp)": lambda k, n: -(-k // 256) * n * 66,
}
"""Bytes of a matrix [K, N] with its scale, by format; TQ's blocks of 256 have one scale each."""


def shapes(config: DecoderConfig) -> dict[str, Shape]:
    """[in, out] of every ternary layer by name; no weights are made.

    Raises:
        ValueError: a configuration without ternary layers.
    """
    model: Any = abstract(Decoder, config, dtype=jnp.float32)
    found: dict[str, Shape] = {}
    for path, layer in bit_linears(model):
        rows, columns = layer.kernel.shape
        found[".".join(map(str, path))] = (rows, columns)
    if not found:
        raise ValueError(f"linears={config.linears!r}: there is no ternary layer")
    return found


def packed_sizes(config: DecoderConfig) -> dict[str, int]:
    """Bytes of all ternary matrices of a model in each of `FORMATS`."""
    every = shapes(config).values()
    return {name: sum(size(k, n) for k, n in every) for name, size in FORMATS.items()}
