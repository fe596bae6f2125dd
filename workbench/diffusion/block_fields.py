"""What the fields of a convolutional model's `config.json` owe each other."""

from typing import Any


def require_blocks(config: Any) -> None:
    """Holds a convolutional model to a type for each of its blocks, and to whole groups of norms.

    Raises:
        ValueError: names the field, what it holds, and what it needs.
    """
    widths, groups = config.block_out_channels, config.norm_num_groups
    if not widths:
        raise ValueError("block_out_channels is empty; give one width per block")
    for name in ("down_block_types", "up_block_types"):
        types = getattr(config, name)
        if len(types) != len(widths):
            raise ValueError(
                f"{name}={list(types)} has {len(types)} entries;"
                f" block_out_channels has {len(widths)}"
            )
    for width in widths:
        if width < 1 or width % groups:
            raise ValueError(
                f"block_out_channels={list(widths)}: {width} is not a"
                f" multiple of norm_num_groups={groups}"
            )
