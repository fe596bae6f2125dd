"""A convolution and a norm under the names "0" and "1", as files have them."""

from typing import Any

from flax import nnx
from jaxtyping import Array, Float

from workbench.vision.layers import Conv
from workbench.vision.norms import BatchNorm


class Numbered(nnx.Module):
    """One after the other, in either order.

    Args:
        first, second: a convolution and a norm.
    """

    def __init__(self, first: Any, second: Any):
        setattr(self, "0", first)
        setattr(self, "1", second)
        foldable = isinstance(first, Conv) and isinstance(second, BatchNorm)
        self.folds: tuple[tuple[str, str], ...] = (("0", "1"),) if foldable else ()

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B h w K"]:
        """The second's result."""
        for name in ("0", "1"):
            layer = getattr(self, name)
            x = layer(x) if isinstance(layer, Conv) else layer(x, training)
        return x
