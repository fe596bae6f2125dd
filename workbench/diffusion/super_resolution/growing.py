"""A UNet grown by one outer level from weights there are, and what of it is trained.

Yi et al. 2025 (TVT, arXiv 2507.20291), section 3.3: the old blocks move one level inward and are
tuned by LoRA; the new outer level, the convolutions at both ends and whatever else the new width
leaves no old weights for are trained in full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from workbench.diffusion.super_resolution.networks import Network, fresh
from workbench.diffusion.unet import UNetConfig
from workbench.diffusion.unet.layers import sinusoid
from workbench.model_files.keys import names

RANK = 4
"""Of TVT's adapters."""
TIME = 1.0
"""The one timestep a restoring UNet is asked at."""
ENDS = ("conv_in", "conv_out", "conv_norm_out")
"""First parts of the names that are always trained in full."""
TIME_LAYER = "time_embedding.linear_1."


@dataclass(frozen=True, eq=False)
class Tuned:
    """A UNet of which some weights are trained in full and some by a low-rank product.

    Attributes:
        base: all weights at the start.
        full: names of what is trained in full; other kernels W are W + A B; the rest stands still.
    """

    base: Network
    full: frozenset[str]
    rank: int = RANK

    def init(self, key: Array) -> dict[str, dict[str, Any]]:
        """First trained values: those of `base`, A normal and B zero (Hu et al. 2022)."""
        found: dict[str, dict[str, Any]] = {"full": {}, "low_rank": {}}
        leaves = named(self.base.weights)
        for name, leaf in leaves.items():
            if name in self.full:
                found["full"][name] = jnp.array(leaf)
        adapted = [name for name in leaves if name not in self.full and name.endswith("kernel")]
        for name, one in zip(adapted, jax.random.split(key, max(len(adapted), 1)), strict=False):
            shape = leaves[name].shape
            inputs = math.prod(shape[:-1])
            first = jax.random.normal(one, (inputs, self.rank)) / math.sqrt(inputs)
            found["low_rank"][name] = (first, jnp.zeros((self.rank, shape[-1])))
        return found

    def weights(self, trained: dict[str, dict[str, Any]], base: Any = None) -> Any:
        """All weights, with these trained values.

        Args:
            trained: as `init` has them.
            base: the weights of `base`, where they are arguments of a traced function.
        """
        given = self.base.weights if base is None else base
        paths, tree = jax.tree_util.tree_flatten_with_path(given)
        leaves = []
        for path, leaf in paths:
            name = _name(path)
            if name in trained["full"]:
                leaf = trained["full"][name]
            elif name in trained["low_rank"]:
                a, b = trained["low_rank"][name]
                leaf = leaf + (a @ b).reshape(leaf.shape)
            leaves.append(leaf)
        return jax.tree_util.tree_unflatten(tree, leaves)

    def network(self, trained: dict[str, dict[str, Any]], base: Any = None) -> Network:
        """The UNet with these trained values; arguments as of `weights`."""
        return Network(self.base.config, self.weights(trained, base))

    @property
    def fingerprint(self) -> str:
        """Of shape, weights and what is trained."""
        return f"{self.base.digest} {self.rank} {' '.join(sorted(self.full))}"


def tuned(inner: Network) -> Tuned:
    """The UNet as it is, its ends trained in full; the last convolution begins at zero."""
    weights = _changed(inner.weights, dict.fromkeys(_of(inner.weights, "conv_out"), _zeros))
    found = Network(inner.config, weights)
    return Tuned(found, frozenset(name for name in named(weights) if name.startswith(ENDS)))


def grown(inner: Network, outer: UNetConfig, key: Array) -> Tuned:
    """`inner` one level further in, the rest of `outer` fresh.

    At time 1, the only one it is for, the time embedding is `inner`'s: its first layer, which reads
    a sinusoid of another width, begins as a constant. The last convolution begins at zero, so that
    the first restoration is the input. Both are ours.

    Args:
        inner: weights there are.
        outer: from `with_outer_level(inner.config, ...)`.
        key: of what is fresh.

    Raises:
        ValueError: `outer` is not one level more than `inner`.
    """
    widths = outer.block_out_channels
    if not isinstance(inner.config, UNetConfig) or widths[1:] != inner.config.block_out_channels:
        old = getattr(inner.config, "block_out_channels", None)
        raise ValueError(f"outer has widths {widths}; needed one level before {old}")
    first = fresh(outer, key).weights
    there, old = named(first), {_inward(n): leaf for n, leaf in named(inner.weights).items()}
    kept = {
        name: old[name]
        for name, leaf in there.items()
        if name in old and old[name].shape == leaf.shape and not name.startswith(ENDS)
    }
    changes: dict[str, Any] = {name: lambda _, value=value: value for name, value in kept.items()}
    changes |= dict.fromkeys(_of(first, "conv_out"), _zeros)
    if TIME_LAYER + "kernel" not in kept:
        constant = _first_time_layer(inner)
        changes |= {TIME_LAYER + "kernel": _zeros, TIME_LAYER + "bias": lambda _: constant}
    weights = _changed(first, changes)
    return Tuned(Network(outer, weights), frozenset(there) - frozenset(kept))


def named(weights: Any) -> dict[str, Any]:
    """Leaves by name, such as `down_blocks.0.resnets.1.conv1.kernel`."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(weights)[0]}


def _name(path: Any) -> str:
    return ".".join(str(part) for part in names(path))


def _of(weights: Any, first: str) -> list[str]:
    return [name for name in named(weights) if name.split(".")[0] == first]


def _changed(weights: Any, changes: dict[str, Any]) -> Any:
    paths, tree = jax.tree_util.tree_flatten_with_path(weights)
    leaves = [changes.get(_name(path), lambda leaf: leaf)(leaf) for path, leaf in paths]
    return jax.tree_util.tree_unflatten(tree, leaves)


def _zeros(leaf: Array) -> Array:
    return jnp.zeros_like(leaf)


def _inward(name: str) -> str:
    """The name of an old weight after its move: blocks on the way down are counted from outside."""
    first, *rest = name.split(".")
    if first != "down_blocks":
        return name
    return ".".join([first, str(int(rest[0]) + 1), *rest[1:]])


def _first_time_layer(inner: Network) -> Array:
    """W sinusoid(1) + b of the old UNet."""
    config = inner.config
    assert isinstance(config, UNetConfig)
    wave = sinusoid(
        jnp.full((1,), TIME),
        config.block_out_channels[0],
        freq_shift=config.freq_shift,
        flip_sin_to_cos=config.flip_sin_to_cos,
    )
    layer = named(inner.weights)
    kernel, bias = (layer[TIME_LAYER + part] for part in ("kernel", "bias"))
    return (wave @ kernel)[0] + bias
