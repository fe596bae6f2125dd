"""Small networks and what they answer, in one compiled program."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from workbench.vision.architectures import published
from workbench.vision.blocks.conv_first import ConvFirstRow
from workbench.vision.blocks.conv_norm import ConvNormRow
from workbench.vision.blocks.convnext import ConvNeXtRow
from workbench.vision.blocks.depthwise_separable import DepthwiseSeparableRow
from workbench.vision.blocks.fused_inverted_residual import FusedInvertedResidualRow
from workbench.vision.blocks.inverted_residual import InvertedResidualRow
from workbench.vision.networks.mobile import MobileConfig
from workbench.vision.networks.patchified import PatchifiedConfig
from workbench.vision.networks.resnet import ResNetConfig

MOBILE = MobileConfig(
    activation="silu",
    stem=8,
    stages=(
        (ConvNormRow(channels=8, skip=True), DepthwiseSeparableRow(channels=16, activated=True)),
        (InvertedResidualRow(channels=16, repeats=2, stride=2, squeeze=0.25, expansion=2),),
        (FusedInvertedResidualRow(channels=16, repeats=2, expansion=2),),
    ),
    head=24,
    num_classes=5,
)
"""Every block of the mobile skeleton."""
RESNET = ResNetConfig(
    stem=8,
    stages=tuple(
        row.model_copy(update={"channels": 16 * n, "width": 8 * n, "repeats": 2, "groups": 4})
        for n, row in enumerate(list(published("resnext50_32x4d").rows())[:2], 1)
    ),
    num_classes=5,
)
CONVNEXT = PatchifiedConfig(
    activation="gelu",
    patch=4,
    stages=(ConvNeXtRow(channels=8), ConvNeXtRow(channels=16, repeats=2, convolutions=True)),
    num_classes=5,
)
CONV_FIRST = PatchifiedConfig(
    activation="silu",
    norm="batch",
    patch=2,
    stages=(
        ConvFirstRow(channels=8, layer_scale=0.3),
        InvertedResidualRow(channels=16, expansion=2, group_size=8),
    ),
    num_classes=5,
)
SMALL = {
    "mobile": MOBILE,
    "resnet": RESNET,
    "convnext": CONVNEXT,
    "conv_first": CONV_FIRST,
}


def answer(model: Any, x: Any) -> np.ndarray:
    """Logits; the program of a table is compiled once."""
    return np.asarray(_answer(*nnx.split(model), x))


@partial(jax.jit, static_argnums=0)
def _answer(graph: Any, weights: Any, x: Any) -> jax.Array:
    found: jax.Array = nnx.merge(graph, weights)(x)
    return found


def pictures(size: int = 16, channels: int = 3) -> jax.Array:
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.standard_normal((2, size, size, channels)), jnp.float32)


def stirred(model: Any) -> Any:
    """The model with norms, scales, biases and running statistics away from where they start."""
    rng = np.random.default_rng(1)
    state = nnx.state(model, (nnx.Param, nnx.BatchStat))
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        if leaf.ndim == 1:
            owner = model
            *steps, name = (step.key for step in path[:-1])
            for step in steps:
                owner = owner[step] if isinstance(step, int) else getattr(owner, step)
            about = {"bias": 0.0, "running_mean": 0.0}.get(name, 1.0)
            value = about + rng.uniform(-0.3, 0.3, leaf.shape)
            getattr(owner, name)[...] = jnp.asarray(value, jnp.float32)
    return model
