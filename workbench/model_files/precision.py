"""What weights are stored in, and what is computed in: decided here for every model.

* "float32": stored and computed in float32.
* "bfloat16": kernels and tables stored in bfloat16, half the bytes.
* "int8": kernels stored as whole numbers from -127 to 127 with one scale per output channel, about
  a quarter of the bytes, and turned back into floats where they are used; tables in bfloat16.

Norms, biases, scales and the kernels of short convolutions along time, a few numbers a channel,
stay in float32 always. The last two compute in bfloat16 on accelerators, and in float32 on a CPU,
even one with the bfloat16 instructions of AVX-512: they gain nothing there, and a UNet in int8
takes longer in bfloat16 (`benchmarks/unet_precision_cpu.py`). AMX was not measured.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

PRECISIONS = ("float32", "bfloat16", "int8")
SHORT = 3
"""Axes of the kernel of a convolution along time."""


@dataclass(frozen=True)
class Precision:
    """One way to hold a model's weights.

    Args:
        name: "float32", "bfloat16" or "int8".
        compute: what products and convolutions run in.
        transformed: height, width and batch of the input for which a UNet's kernels are kept
            transformed for minimal filtering where that pays; None keeps all as they are.
    """

    name: str
    compute: np.dtype
    transformed: tuple[int, int, int] | None = None

    @property
    def sentence(self) -> str:
        """What is stored and what is computed, for a screen."""
        if self.name == "float32" or self.compute == jnp.bfloat16:
            return f"weights in {self.name}, computed in {self.compute}"
        return f"weights in {self.name}, computed in float32: on a CPU bfloat16 is no faster"


FLOAT32 = Precision("float32", np.dtype(np.float32))


def precision(dtype: Any) -> Precision:
    """The precision of a name or a dtype.

    Raises:
        ValueError: one that weights are not held in here.
    """
    if isinstance(dtype, Precision):
        return dtype
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in PRECISIONS:
        raise ValueError(f"dtype={name!r} is not supported; use {', '.join(PRECISIONS)}")
    half = name != "float32" and gains_by_bfloat16()
    return Precision(name, np.dtype(jnp.bfloat16 if half else jnp.float32))


@cache
def gains_by_bfloat16() -> bool:
    """Whether the device jax computes on is faster in bfloat16: an accelerator."""
    return jax.default_backend() != "cpu"


class Int8Kernel(nnx.Module):
    """A kernel as whole numbers with a scale per output channel, its last axis.

    Stands where a kernel's variable would and is read as one: `kernel[...]` gives floats.
    """

    def __init__(self, values: Any, scale: Any):
        self.values = nnx.Param(values)
        self.scale = nnx.Param(scale)

    def __getitem__(self, index: Any) -> Array:
        """values * scale, float32."""
        scale = self.scale[...]
        wide = (1,) * (self.values[...].ndim - 1) + scale.shape
        whole: Array = self.values[...].astype(jnp.float32) * scale.reshape(wide)
        return whole[index]


def with_int8_kernels(model: Any) -> None:
    """Puts an `Int8Kernel` of the right shapes in place of every kernel of an abstract model."""
    for _, module in list(nnx.iter_graph(model)):
        kernel = getattr(module, "kernel", None) if isinstance(module, nnx.Module) else None
        if isinstance(kernel, nnx.Param) and len(kernel.shape) != SHORT:
            shape = kernel.shape
            module.kernel = Int8Kernel(
                jax.ShapeDtypeStruct(shape, jnp.int8),
                jax.ShapeDtypeStruct(shape[-1:], jnp.float32),
            )


def weight_bytes(model: Any) -> int:
    """Bytes of all weights of a model, as stored."""
    leaves = jax.tree.leaves(nnx.state(model, nnx.Param))
    return sum(int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize for leaf in leaves)
