"""Multi-expert conditional convolution: kernels mixed for each sample, then one convolution.

CondConv (Yang et al., NeurIPS 2019, arXiv 1904.04971, equation 1), which A-SDM (arXiv 2406.00210)
puts into compressed UNets as ME-CondConv. How many experts, where they stand and how they begin is
not public there; here they stand in the 3x3 convolutions of ResNets and begin as one kernel: ours.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from kernels_pallas.grouped_conv2d import grouped_conv2d
from workbench.diffusion.unet.config import Routing


class ConditionalConv(nnx.Module):
    """y_b = (sum_i r_bi W_i) * x_b + bias, r_b = softmax or sigmoid of Linear(GAP(x_b)).

    Args:
        inputs, outputs: channels.
        size: of the square kernels; padding keeps height and width.
        experts: how many kernels W_i.
        routing: what makes weights r of the linear layer's numbers.
        dtype: what it computes in; the routing is float32.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        experts: int,
        routing: Routing,
        *,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform", batch_axis=0)
        shape = (experts, size, size, inputs, outputs)
        self.kernel = nnx.Param(init(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))
        self.router = nnx.Linear(inputs, experts, dtype=jnp.float32, rngs=rngs)
        self.routing, self.dtype = routing, dtype

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W D"]:
        """One convolution a sample, with its own mix of the kernels."""
        mixed = jnp.einsum("bi,ihwcd->bhwcd", self.weights(x), self.kernel[...].astype(jnp.float32))
        bias = self.bias[...].astype(self.dtype)[None, None, None, :]
        return convolve_each(x, mixed.astype(self.dtype)) + bias

    def weights(self, x: Float[Array, "B H W C"]) -> Float[Array, "B experts"]:
        """r: how much of each kernel every sample gets."""
        pooled = jnp.mean(x.astype(jnp.float32), axis=(1, 2))
        numbers = self.router(pooled)
        return nnx.softmax(numbers) if self.routing == "softmax" else nnx.sigmoid(numbers)


@jax.custom_vjp
def convolve_each(
    x: Float[Array, "B H W C"], kernels: Float[Array, "B k k C D"]
) -> Float[Array, "B H W D"]:
    """Each sample's convolution with its own kernel, as one convolution in B groups of channels.

    Padding k // 2. Gradients go through products over receptive fields: on a CPU those of a grouped
    convolution took ten times as long.
    """
    batch, height, width, inputs = x.shape
    _, size, _, _, outputs = kernels.shape
    side_by_side = jnp.transpose(x, (1, 2, 0, 3)).reshape(1, height, width, batch * inputs)
    kernel = jnp.transpose(kernels, (1, 2, 3, 0, 4)).reshape(size, size, inputs, batch * outputs)
    found = grouped_conv2d(side_by_side, kernel, groups=batch, padding=size // 2)
    return jnp.transpose(found.reshape(height, width, batch, outputs), (2, 0, 1, 3))


def over_fields(
    x: Float[Array, "B H W C"], kernels: Float[Array, "B k k C D"]
) -> Float[Array, "B H W D"]:
    """`convolve_each` as one product a sample over copied receptive fields."""
    batch, height, width, inputs = x.shape
    _, size, _, _, outputs = kernels.shape
    edge = size // 2
    padded = jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    fields = jnp.concatenate(
        [padded[:, i : i + height, j : j + width] for i in range(size) for j in range(size)],
        axis=-1,
    ).reshape(batch, height * width, size * size * inputs)
    found = jnp.einsum("bpf,bfd->bpd", fields, kernels.reshape(batch, -1, outputs))
    return found.reshape(batch, height, width, outputs)


def _forward(x: Array, kernels: Array) -> tuple[Array, tuple[Array, Array]]:
    return convolve_each(x, kernels), (x, kernels)


def _backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    gradients: tuple[Array, Array] = jax.vjp(over_fields, *kept)[1](gradient)
    return gradients


convolve_each.defvjp(_forward, _backward)
