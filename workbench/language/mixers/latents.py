"""What of an input a projection reads, in the projection's own width (XQuant, section 3.2)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from workbench.language.linear import Linear


class Factor(nnx.Variable):
    """A part of a weight, made from it; files hold the weight alone."""


class Latent(nnx.Module):
    """W = U (S B^T) with orthonormal U; X U is kept, and (X U) (S B^T) is X W.

    Args:
        projection: a dense one.

    Raises:
        ValueError: one whose weights are not dense.
    """

    def __init__(self, projection: Any):
        if not isinstance(projection, Linear):
            raise ValueError(
                f"cache latent=True needs dense projections; this is {type(projection).__name__}"
            )
        kernel = projection.kernel[...].astype(jnp.float32)
        left, sizes, right = jnp.linalg.svd(kernel, full_matrices=False)
        self.basis = Factor(left)
        self.rest = Factor(sizes[:, None] * right)

    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T R"]:
        """X U, float32."""
        return x.astype(jnp.float32) @ self.basis[...]

    def weight_part(self, latent: Float[Array, "B T R"], bias: Any) -> Float[Array, "B T N"]:
        """(X U) (S B^T) + b = X W + b."""
        y = latent @ self.rest[...].astype(latent.dtype)
        return y if bias is None else y + bias[...].astype(y.dtype)[None, None, :]
