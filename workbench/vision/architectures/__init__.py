"""Tables of published networks by timm's names, and of ours beside them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache

from workbench.vision.networks.config import NetworkConfig


@cache
def tables() -> dict[str, NetworkConfig]:
    """Every table, by name."""
    from workbench.vision.architectures.conv_first import CONV_FIRST
    from workbench.vision.architectures.convnexts import CONVNEXTS
    from workbench.vision.architectures.efficientnets import EFFICIENTNETS
    from workbench.vision.architectures.mobilenets import MOBILENETS
    from workbench.vision.architectures.resnets import RESNETS
    from workbench.vision.architectures.small import SMALL

    families: tuple[Mapping[str, NetworkConfig], ...] = (
        MOBILENETS,
        EFFICIENTNETS,
        RESNETS,
        CONVNEXTS,
        CONV_FIRST,
        SMALL,
    )
    named = {name: table for family in families for name, table in family.items()}
    return {name: table.model_copy(update={"architecture": name}) for name, table in named.items()}


def published(
    name: str, *, num_classes: int = 1000, in_chans: int = 3, drop_path: float = 0.0
) -> NetworkConfig:
    """The table of a name.

    Args:
        name: timm's, such as "convnext_tiny", or one of ours.
        num_classes: logits.
        in_chans: channels of a picture.
        drop_path: largest rate of stochastic depth in training.

    Raises:
        ValueError: a name there is not; says which there are.
    """
    found = tables().get(name)
    if found is None:
        near = difflib.get_close_matches(str(name), tables(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"architecture={name!r} is not known; known: {', '.join(tables())}{hint}")
    changes = {"num_classes": num_classes, "in_chans": in_chans, "drop_path": drop_path}
    return type(found).model_validate({**dict(found), **changes})
