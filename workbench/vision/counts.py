"""What a network costs by layer: parameters, multiply-accumulates, and bytes moved.

Nothing is computed: layers are called on shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from workbench.model_files.abstract import abstract
from workbench.vision.layers import Conv, Dense
from workbench.vision.networks import ConvNet, NetworkConfig, build
from workbench.vision.networks.convnet import check_pictures
from workbench.vision.norms import BatchNorm
from workbench.vision.observing import Call, Shape, observed


@dataclass(frozen=True)
class LayerCost:
    """One layer of a network on one batch of pictures.

    Args:
        name: as the file has it, without the parameter: "blocks.1.0.conv_dw".
        kind: "conv", "dense", "batch norm" or "layer norm".
        inputs, outputs: shapes, the batch first.
        kernel: [R, S, C / groups, K] of a convolution, [C, K] of a dense layer, else empty.
        groups: of a convolution.
        params: numbers it learns.
        macs: multiply-accumulates; of norms none, as papers count.
        bytes_moved: input, result and weights once each.
    """

    name: str
    kind: str
    inputs: Shape
    outputs: Shape
    kernel: Shape
    groups: int
    params: int
    macs: int
    bytes_moved: int

    @property
    def intensity(self) -> float:
        """Operational intensity: 2 MACs a byte."""
        return 2 * self.macs / self.bytes_moved

    @property
    def group_size(self) -> int:
        """Input channels of a group; 0 of a norm."""
        return self.kernel[-2] if self.kernel else 0


def layer_costs(
    network: NetworkConfig | ConvNet,
    *,
    size: int | tuple[int, int] | None = None,
    batch: int = 1,
    itemsize: int = 4,
) -> tuple[LayerCost, ...]:
    """Every convolution, dense layer and norm in the order they are called.

    What lies between them (activations, pooling, sums, gates) has no row, and γ of a layer scale
    counts in no row either; `folded` networks have neither norms nor γ.

    Args:
        network: a table, or a network with its weights.
        size: height and width, or both as one number, pixels; the table's own where none is given.
        batch: pictures.
        itemsize: bytes of a number: 4 for float32, 2 for bfloat16.

    Raises:
        ValueError: pictures the network cannot read, or a table that cannot be built.
    """
    model = network if isinstance(network, ConvNet) else _abstract(network)
    return called_layers(model, pictures(model.config, size, batch), itemsize=itemsize)


def called_layers(
    model: Callable[[Any], Any], x: jax.ShapeDtypeStruct, *, itemsize: int = 4
) -> tuple[LayerCost, ...]:
    """The same of any module, or of a function that calls layers of this package.

    Args:
        model: called on `x`; layers a function holds on to are named by kind and number.
        x: shape and dtype of its input.
        itemsize: bytes of a number.
    """
    graph, weights = nnx.split(model) if isinstance(model, nnx.Module) else (None, None)
    found: list[LayerCost] = []

    def run(weights: Any, x: Any) -> Any:
        called = model if graph is None else nnx.merge(graph, weights)
        nodes = nnx.iter_graph(called) if graph is not None else ()
        names = {id(node): ".".join(map(str, path)) for path, node in nodes}
        with observed() as calls:
            y = called(x)
        for number, call in enumerate(calls, 1):
            plain = f"{type(call.layer).__name__.lower()} {number}"
            found.append(_cost(names.get(id(call.layer), plain), call, itemsize))
        return y

    jax.eval_shape(run, weights, x)
    return tuple(found)


def macs(network: NetworkConfig | ConvNet, *, size: int | tuple[int, int] | None = None) -> int:
    """Multiply-accumulates of one picture, in convolutions and dense layers.

    Args:
        network, size: as in `layer_costs`.

    Raises:
        ValueError: as in `layer_costs`.
    """
    return sum(layer.macs for layer in layer_costs(network, size=size))


def parameters(network: NetworkConfig | ConvNet) -> int:
    """Numbers a network learns; running statistics are none.

    Raises:
        ValueError: a table that cannot be built.
    """
    model = network if isinstance(network, ConvNet) else _abstract(network)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


@cache
def _abstract(config: NetworkConfig) -> ConvNet:
    model: ConvNet = abstract(build, config, dtype=jnp.float32)
    return model


def pictures(
    config: NetworkConfig, size: int | tuple[int, int] | None, batch: int
) -> jax.ShapeDtypeStruct:
    """The shape of a batch of pictures for a network.

    Args:
        config: its table.
        size, batch: as in `layer_costs`.

    Raises:
        ValueError: pictures the network cannot read.
    """
    height, width = (
        (size, size) if isinstance(size, int) else size or (config.preprocessing.input_size[1:])
    )
    x = jax.ShapeDtypeStruct((batch, height, width, config.in_chans), jnp.float32)
    check_pictures(config, x)  # type: ignore[arg-type]
    return x


def _cost(name: str, call: Call, itemsize: int) -> LayerCost:
    layer: Any = call.layer
    params = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(layer, nnx.Param)))
    kernel: Shape = ()
    kind = "batch norm" if isinstance(layer, BatchNorm) else "layer norm"
    if isinstance(layer, (Conv, Dense)):
        kernel = tuple(layer.kernel[...].shape)
        kind = "conv" if isinstance(layer, Conv) else "dense"
    kept: float = getattr(layer, "kept", 1)
    elements = math.prod(call.inputs) + math.prod(call.outputs) + params
    return LayerCost(
        name=name,
        kind=kind,
        inputs=call.inputs,
        outputs=call.outputs,
        kernel=kernel,
        groups=getattr(layer, "groups", 1),
        params=params,
        macs=round(kept * math.prod(call.outputs) * math.prod(kernel[:-1])) if kernel else 0,
        bytes_moved=itemsize * elements,
    )
