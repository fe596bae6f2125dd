"""What every network is: pictures to features, features to logits."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from workbench.vision.networks.config import NetworkConfig


class ConvNet(nnx.Module):
    """A classifier of pictures, in NHWC.

    Args:
        config: its table.
        dtype: computed in.
    """

    folds: tuple[tuple[str, str], ...] = ()

    def __init__(self, config: NetworkConfig, dtype: Any):
        self.config, self.dtype = config, dtype

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B K"]:
        """Logits, in float32.

        Args:
            x: pictures as `config.preprocessing.prepare` makes them.
            training: random numbers of a training step, in which batch norms take the batch's
                statistics and move their own, and blocks are dropped; None for inference.

        Raises:
            ValueError: pictures of another shape or type than the network reads.
        """
        return self.logits(self.features(x, training), training).astype(jnp.float32)

    def features(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B h w K"]:
        """What the last stage makes of pictures; arguments and errors as for the whole."""
        check_pictures(self.config, x)
        return self.trunk(x.astype(self.dtype), training)

    def trunk(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None
    ) -> Float[Array, "B h w K"]:
        """Stem and stages."""
        raise NotImplementedError

    def logits(
        self, features: Float[Array, "B h w D"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B K"]:
        """The head."""
        raise NotImplementedError


def check_pictures(config: NetworkConfig, x: Array) -> None:
    """Holds pictures against what a network reads.

    Raises:
        ValueError: names shape or dtype, and what would be right.
    """
    channels = config.in_chans
    if x.ndim != 4:
        raise ValueError(f"x has shape {x.shape}; needed [B, H, W, {channels}]")
    if x.shape[3] != channels:
        grey = x.shape[3] == 1 and channels == 3
        first = x.shape[1] == channels and x.shape[3] != channels
        hint = "; repeat the grey channel, jnp.repeat(x, 3, axis=-1)" if grey else ""
        hint = "; channels come last here, x.transpose(0, 2, 3, 1)" if first else hint
        raise ValueError(f"x has shape {x.shape}; needed [B, H, W, {channels}]{hint}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(
            f"x has dtype {x.dtype}; needed normalised floats, as config.preprocessing.prepare"
            " makes of pictures"
        )
    height, width = x.shape[1:3]
    if 0 in x.shape:
        raise ValueError(f"x has shape {x.shape}; needed at least one picture of one pixel")
    if height % config.multiple or width % config.multiple:
        near = tuple(
            max(config.multiple, s // config.multiple * config.multiple) for s in (height, width)
        )
        raise ValueError(
            f"x has shape {x.shape}; {config.architecture} cuts pictures into patches, so height"
            f" and width must be multiples of {config.multiple}, such as {near[0]} x {near[1]}"
        )
