"""E2GC: spatial convolutions with groups of one size in all layers (Jha et al. 2020, section 3)."""

from __future__ import annotations

from typing import TypeVar

from workbench.vision.blocks.row import GroupedRow
from workbench.vision.networks.config import NetworkConfig

Network = TypeVar("Network", bound=NetworkConfig)


def constant_group_size(config: Network, size: int) -> Network:
    """The network with groups of `size` channels in every spatial convolution that can have groups.

    Arithmetic and reuse of a layer then follow its channels alike; with a fixed number of groups
    they drift apart as channels grow.

    Args:
        config: such as MobileNet-V1's or ResNeXt-50's table.
        size: channels of a group; 1 is depthwise.

    Raises:
        ValueError: a table without rows of groups, or a size that does not divide a layer's
            channels; that is told when the network is built.
    """
    return _regrouped(config, group_size=size, groups=None)


def fixed_groups(config: Network, groups: int) -> Network:
    """The network with so many groups in every spatial convolution that can have groups.

    Args:
        config: a table.
        groups: 1 is dense.

    Raises:
        ValueError: as in `constant_group_size`.
    """
    return _regrouped(config, group_size=None, groups=groups)


def group_size_of(config: NetworkConfig) -> int | None:
    """Channels of a group, where all layers with groups have the same."""
    sizes = {row.group_size for row in config.rows() if isinstance(row, GroupedRow)}
    return sizes.pop() if len(sizes) == 1 else None


def _regrouped(config: Network, *, group_size: int | None, groups: int | None) -> Network:
    rows = list(config.rows())
    if not any(isinstance(row, GroupedRow) for row in rows):
        kinds = ", ".join(sorted({row.kind for row in rows}))
        raise ValueError(f"{config.architecture} has rows of {kinds} only; none has groups")
    for name, value in (("group_size", group_size), ("groups", groups)):
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"{name}={value!r} must be a whole number from 1 on")
    changes = {"group_size": group_size, "groups": groups}
    changed = [r.model_copy(update=changes) if isinstance(r, GroupedRow) else r for r in rows]
    return config.with_rows(changed)  # type: ignore[return-value]
