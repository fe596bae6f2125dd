"""Whole networks: a stem, stages of rows, and a head, after three skeletons.

A network is its table: a configuration with `kind` "mobile", "resnet" or "patchified".
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pydantic
from flax import nnx

from workbench.vision.networks.config import NetworkConfig
from workbench.vision.networks.convnet import ConvNet

__all__ = ["ConvNet", "NetworkConfig", "build", "network_of"]


@cache
def _kinds() -> dict[str, type[NetworkConfig]]:
    from workbench.vision.networks.mobile import MobileConfig
    from workbench.vision.networks.patchified import PatchifiedConfig
    from workbench.vision.networks.resnet import ResNetConfig

    return {"mobile": MobileConfig, "patchified": PatchifiedConfig, "resnet": ResNetConfig}


def network_of(record: dict[str, Any]) -> NetworkConfig:
    """A network's configuration from its record, which names its kind.

    Raises:
        ValueError: a kind there is not, or a field that is wrong; names it and its value.
    """
    kind = record.get("kind")
    if kind not in _kinds():
        raise ValueError(f"kind={kind!r} is not a network; known: {', '.join(_kinds())}")
    try:
        return _kinds()[kind].model_validate(record)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(step) for step in problem["loc"]) or kind
        raise ValueError(f"{field}={problem['input']!r:.80}: {problem['msg']}") from error


def build(config: NetworkConfig, *, dtype: Any, rngs: nnx.Rngs) -> ConvNet:
    """The network of a table, with fresh weights.

    Raises:
        ValueError: groups that do not divide their channels, or a block that cannot stand there.
    """
    return config.build(dtype=dtype, rngs=rngs)
