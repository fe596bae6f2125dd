"""Networks as shape and weights apart, so that a part can be trained while another stands still."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from workbench.diffusion.unet import UNet2DCondition, UNetConfig
from workbench.diffusion.vae import AutoencoderConfig, AutoencoderKL
from workbench.model_files.abstract import abstract

ENCODER, DECODER = ("encoder", "quant_conv"), ("decoder", "post_quant_conv")
"""Names of an autoencoder's weights by side."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network of either kind.

    Attributes:
        config: its shape.
        weights: its `nnx.State`; or one with shapes in place of arrays.
    """

    config: AutoencoderConfig | UNetConfig
    weights: Any

    @classmethod
    def of(cls, model: AutoencoderKL | UNet2DCondition) -> Network:
        """A loaded model."""
        return cls(model.config, nnx.split(model)[1])

    @cached_property
    def graph(self) -> Any:
        """The module tree without weights."""
        return nnx.split(_abstract(self.config))[0]

    def model(self, weights: Any = None) -> Any:
        """The module, with these weights in place of its own where given."""
        return nnx.merge(self.graph, self.weights if weights is None else weights)

    def side(self, names: tuple[str, ...]) -> dict[str, Any]:
        """An autoencoder's weights of one side."""
        return {name: self.weights[name] for name in names if name in self.weights}

    def with_side(self, part: dict[str, Any]) -> Network:
        """The same with other weights on one side."""
        return replace(self, weights=nnx.State({**self.weights, **part}))

    @property
    def parameters(self) -> int:
        """How many weights."""
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.weights))

    @cached_property
    def digest(self) -> str:
        """sha256 of shape and weights, its first 16 digits."""
        digest = hashlib.sha256(repr(self.config).encode())
        for leaf in jax.tree.leaves(self.weights):
            digest.update(np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()[:16]


def fresh(config: AutoencoderConfig | UNetConfig, key: Array) -> Network:
    """An untrained network: kernels uniform within 1 / sqrt(fan in), norms one, biases zero.

    One program draws them all, where drawing layer by layer compiles one for each shape.
    """
    state = nnx.split(_abstract(config))[1]
    return Network(config, _drawn(state, key))


def shapes(config: AutoencoderConfig | UNetConfig) -> Network:
    """A network with shapes in place of weights, for counting."""
    return Network(config, nnx.split(_abstract(config))[1])


def _abstract(config: AutoencoderConfig | UNetConfig) -> Any:
    model = UNet2DCondition if isinstance(config, UNetConfig) else AutoencoderKL
    return abstract(model, config, dtype=jnp.float32)


def _drawn(state: Any, key: Array) -> Any:
    paths, tree = jax.tree_util.tree_flatten_with_path(state)
    kinds = [str(path[-2].key) for path, _ in paths]
    sizes = tuple(tuple(leaf.shape) for _, leaf in paths)
    return jax.tree_util.tree_unflatten(tree, _leaves(key, tuple(kinds), sizes))


@partial(jax.jit, static_argnums=(1, 2))
def _leaves(key: Array, kinds: tuple[str, ...], sizes: tuple[tuple[int, ...], ...]) -> list[Array]:
    total = sum(math.prod(s) for k, s in zip(kinds, sizes, strict=True) if k == "kernel")
    values = jax.random.uniform(key, (total,), minval=-1.0, maxval=1.0)
    leaves, start = [], 0
    for kind, shape in zip(kinds, sizes, strict=True):
        if kind != "kernel":
            leaves.append(jnp.full(shape, 1.0 if kind == "scale" else 0.0, jnp.float32))
            continue
        stop = start + math.prod(shape)
        limit = 1 / math.sqrt(math.prod(shape[:-1]))
        leaves.append(limit * values[start:stop].reshape(shape))
        start = stop
    return leaves


def reconstructed(network: Network, pictures: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """decode(mean of encode(x)), in the range of x, [-1, 1] where it is that."""
    model = network.model()
    found: Array = model.decode(model.encode(pictures).mean)
    return found
