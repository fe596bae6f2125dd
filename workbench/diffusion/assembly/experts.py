"""Experts put into a UNet whose convolutions are plain, so that it computes what it did.

With softmax the weights of the kernels add up to one whatever they are: all experts begin as the
kernel. With sigmoid they come in pairs s(z) + s(-z) = 1, so n experts add up to n / 2: all begin as
2 / n of the kernel. The router begins at random, which tells equal experts apart in training: ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.diffusion.checkpoint import UNET, file_shapes, file_tensors
from workbench.diffusion.costs import abstract_unet
from workbench.diffusion.unet import UNet2DCondition
from workbench.diffusion.unet.config import Routing

ROUTER = ".router."


def with_experts(
    unet: UNet2DCondition,
    experts: int,
    routing: Routing = "softmax",
    *,
    seed: int = 0,
    dtype: Any = "float32",
) -> UNet2DCondition:
    """The same function with `experts` kernels in every 3x3 convolution of a ResNet.

    Args:
        unet: with plain convolutions.
        experts: how many kernels each mixes; 1 changes nothing.
        routing: what weighs them; sigmoid takes an even number.
        seed: of the routers.
        dtype: as in `load_unet`.

    Raises:
        ValueError: a UNet that has experts already, or a number that is not fit.
    """
    if experts == 1:
        return unet
    if unet.config.conv_experts != 1:
        raise ValueError(f"this UNet mixes {unet.config.conv_experts} kernels already")
    fields = {**dict(unet.config), "conv_experts": experts, "conv_routing": routing}
    config = type(unet.config)(**fields)
    plain, draw = file_tensors(unet), np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}
    for name, shape in file_shapes(abstract_unet(config)).items():
        if ROUTER in name:
            tensors[name] = _router(draw, shape, routing)
        elif len(shape) == 5:
            share = 1.0 if routing == "softmax" else 2 / experts
            kernel = share * np.asarray(plain[name], np.float32)
            tensors[name] = np.broadcast_to(kernel, shape)
        else:
            tensors[name] = np.asarray(plain[name])
    found: UNet2DCondition = UNET.build(config, tensors, dtype=dtype)
    return found


def _router(draw: np.random.Generator, shape: tuple[int, ...], routing: Routing) -> np.ndarray:
    """Weights of an order that tells experts apart by the sample; biases of none."""
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    experts, inputs = shape
    if routing == "softmax":
        return (draw.normal(size=shape) / np.sqrt(inputs)).astype(np.float32)
    half = draw.normal(size=(experts // 2, inputs)) / np.sqrt(inputs)
    return np.concatenate([half, -half]).astype(np.float32)
