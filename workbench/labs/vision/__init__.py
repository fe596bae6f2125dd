"""Vision lab: convolutional networks, the time their arithmetic takes, and where it goes.

from workbench.labs import vision

vision.gap()  # ideal and measured latency of networks; a click opens one's waterline
vision.waterline()  # which kernels wait for memory, layer by layer and block-fused
vision.sparsity()  # pruned layers, measured beside modelled, and what accuracy is left
vision.group_size()  # E2GC: groups of one size against a fixed number of them
vision.own_block(mine)  # a block of one's own, counted at once and timed beside its rivals
compare([vision.Network("mobilenetv1_100"), vision.Network("resnet50")], vision.study(batch=8))
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES: dict[str, str] = {
    "Network": "workbench.labs.vision.network_study",
    "gap": "workbench.labs.vision.gap_view",
    "group_size": "workbench.labs.vision.group_size_view",
    "own_block": "workbench.labs.vision.own_block_view",
    "sparsity": "workbench.labs.vision.sparsity_view",
    "study": "workbench.labs.vision.network_study",
    "waterline": "workbench.labs.vision.waterline_view",
}
"""Openers and the modules they are in; "module:function" where the names differ."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, function = _HOMES[name].partition(":")
    return getattr(import_module(module), function or name)
