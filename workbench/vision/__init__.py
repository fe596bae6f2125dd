"""Convolutional networks for pictures: what their blocks cost, and timm's checkpoints of them.

Each name is fetched when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.vision.architectures import published
    from workbench.vision.counts import layer_costs, macs, parameters
    from workbench.vision.folding import folded
    from workbench.vision.fusing import fused
    from workbench.vision.group_size import constant_group_size, fixed_groups
    from workbench.vision.initial import new
    from workbench.vision.loading import load, save
    from workbench.vision.networks.convnet import ConvNet
    from workbench.vision.own_block import block
    from workbench.vision.preprocessing import Preprocessing
    from workbench.vision.pruning import Blocks, NOfM, Unstructured, packed, pruned

# Names and the modules they are in.
_PLACES = {
    "Blocks": "pruning",
    "ConvNet": "networks.convnet",
    "NOfM": "pruning",
    "Preprocessing": "preprocessing",
    "Unstructured": "pruning",
    "block": "own_block",
    "constant_group_size": "group_size",
    "fixed_groups": "group_size",
    "folded": "folding",
    "fused": "fusing",
    "layer_costs": "counts",
    "load": "loading",
    "macs": "counts",
    "new": "initial",
    "packed": "pruning",
    "parameters": "counts",
    "pruned": "pruning",
    "published": "architectures",
    "save": "loading",
}

__all__ = [
    "Blocks",
    "ConvNet",
    "NOfM",
    "Preprocessing",
    "Unstructured",
    "block",
    "constant_group_size",
    "fixed_groups",
    "folded",
    "fused",
    "layer_costs",
    "load",
    "macs",
    "new",
    "packed",
    "parameters",
    "pruned",
    "published",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'workbench.vision' has no attribute {name!r}")
    return getattr(import_module(f"workbench.vision.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
