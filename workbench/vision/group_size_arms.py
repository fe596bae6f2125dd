"""What the study of group sizes trains: constant sizes, fixed numbers, and which cost the same.

A layer of C channels on P Q pixels spends P Q C R S G on groups of G channels, and P Q C R S C / g
on g groups. The small tables keep sum P Q C^2 = c sum P Q C (`architectures.small`), so that G
channels and g = c / G groups are one and the same amount of arithmetic for the whole network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from workbench.vision.networks.config import NetworkConfig

Rule = Literal["size", "groups"]
SIZES = (1, 2, 4, 8, 16)
NETWORKS = {
    "our_small_mobilenet_v1": "Small MobileNet-V1",
    "our_small_resnext": "Small ResNeXt",
}
"""Tables; their names on the screen."""

CHANNELS = {"our_small_mobilenet_v1": 64, "our_small_resnext": 32}
"""c of each table."""

NARROWEST = 16
"""Channels of the narrowest spatial convolution, which so many groups must divide."""


@dataclass(frozen=True)
class Arm:
    """One network of the study.

    Attributes:
        network: name of its table.
        rule: groups of one size in all layers, or as many groups in all layers.
        number: channels of a group, or groups.
    """

    network: str
    rule: Rule
    number: int

    @property
    def name(self) -> str:
        """As tables and charts have it."""
        return f"{NETWORKS[self.network]}, {'G' if self.rule == 'size' else 'g'} = {self.number}"

    def table(self) -> NetworkConfig:
        """The network's table."""
        from workbench.vision.architectures import published
        from workbench.vision.group_size import constant_group_size, fixed_groups

        regrouped = constant_group_size if self.rule == "size" else fixed_groups
        return regrouped(published(self.network), self.number)


def pairs(network: str) -> tuple[tuple[Arm, Arm], ...]:
    """Constant size against fixed number, at exactly as many multiply-accumulates."""
    found = []
    for size in SIZES:
        groups = CHANNELS[network] // size
        if groups <= NARROWEST:
            found.append((Arm(network, "size", size), Arm(network, "groups", groups)))
    return tuple(found)


def arms(networks: tuple[str, ...] = tuple(NETWORKS)) -> Iterator[Arm]:
    """Every arm once, network by network: all constant sizes, then what stands beside them."""
    for network in networks:
        yield from (Arm(network, "size", size) for size in SIZES)
        yield from (other for _, other in pairs(network))
