"""Count every block of the UNets that the assembly page knows.

python -m workbench.labs.diffusion.assembling.record
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from workbench.checkpoints import replace_text
from workbench.diffusion.assembly.assembling import assemble
from workbench.diffusion.assembly.counting import blocks, count_of
from workbench.diffusion.assembly.dropping import DropError
from workbench.diffusion.costs import UNetShape
from workbench.diffusion.digits.recipe import UNET
from workbench.diffusion.super_resolution.forms import SD21 as STABLE_DIFFUSION_2
from workbench.diffusion.unet.config import (
    CROSS_DOWN,
    CROSS_UP,
    PLAIN_DOWN,
    PLAIN_UP,
    UNetConfig,
)
from workbench.labs.diffusion.assembling.networks import DIGITS, FILE, SD15, SD21, SDXL, TD4

TOKENS = 77


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m workbench.labs.diffusion.assembling.record")
    parser.add_argument("--out", type=Path, default=Path(FILE), help="file that is written")
    given = parser.parse_args(arguments)
    found = {key: _counted(shape) for key, shape in shapes().items()}
    replace_text(given.out, json.dumps(found) + "\n")
    return 0


def shapes() -> dict[str, UNetShape]:
    """Every UNet at the size it was trained at; the last two at the scalability study's."""
    return {
        SD15: UNetShape(UNetConfig(), 64, 64, TOKENS),
        SD21: UNetShape(STABLE_DIFFUSION_2, 64, 64, TOKENS),
        SDXL: UNetShape(_study(2, 10), 32, 32, TOKENS),
        TD4: UNetShape(_study(4, 4), 32, 32, TOKENS),
        DIGITS: UNetShape(UNET, 16, 16, 1),
    }


def _study(outer: int, inner: int) -> UNetConfig:
    """SDXL's form as the scalability study counts it: its text 1024 wide, nothing pooled.

    Args:
        outer, inner: transformers a layer at half and at a quarter of the latents' side.
    """
    return UNetConfig(
        block_out_channels=(320, 640, 1280),
        down_block_types=(PLAIN_DOWN, CROSS_DOWN, CROSS_DOWN),
        up_block_types=(CROSS_UP, CROSS_UP, PLAIN_UP),
        transformer_layers_per_block=(1, outer, inner),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=1024,
        use_linear_projection=True,
    )


def _counted(shape: UNetShape) -> dict[str, Any]:
    config = shape.config
    assert isinstance(config, UNetConfig)
    known = blocks(shape)
    whole = count_of(shape)
    total = [sum(each) for each in zip(*(_numbers(one.count) for one in known), strict=True)]
    return {
        "side": shape.height,
        "config": config.model_dump(mode="json"),
        "blocks": {one.name: _numbers(one.count) for one in known},
        "transformers": _transformers(shape, [one.name for one in known if one.attends]),
        "innermost": _innermost(shape),
        "rest": [a - b for a, b in zip(_numbers(whole), total, strict=True)],
    }


def _innermost(shape: UNetShape) -> dict[str, dict[str, list[float]]]:
    """What costs otherwise once all stages inside a level are gone, by that level.

    The first layer on the way up then reads what its own stage wrote, whose width may be another;
    the middle, where it fits there, runs at that level's size.
    """
    config = shape.config
    assert isinstance(config, UNetConfig)
    levels = len(config.layers)
    found = {}
    for level in range(levels - 1):
        inside = [f"down.{other}" for other in range(level + 1, levels)]
        cut = _cut(shape, inside) or _cut(shape, [*inside, "mid"])
        if cut is None:  # nothing would read the text
            continue
        known = {one.name: _numbers(one.count) for one in blocks(cut)}
        changed = {f"up.{levels - 1 - level}.layer.0": known["up.0.layer.0"]}
        changed |= {name: cost for name, cost in known.items() if name.startswith("mid.")}
        still = _cut(cut, ["mid.transformers"]) if "mid.layer.0" in known else None
        if still is not None:
            whole, left = _numbers(count_of(cut)), _numbers(count_of(still))
            changed["mid.transformers"] = [a - b for a, b in zip(whole, left, strict=True)]
        found[str(level)] = changed
    return found


def _cut(shape: UNetShape, names: list[str]) -> UNetShape | None:
    """The form that is left; None where these cannot go."""
    assert isinstance(shape.config, UNetConfig)
    try:
        left = assemble(shape.config, names).config
    except DropError:
        return None
    return UNetShape(left, shape.height, shape.width, shape.tokens)


def _transformers(shape: UNetShape, names: list[str]) -> dict[str, list[float]]:
    """Of each layer that attends: what its block loses by losing them, in equal parts."""
    found = {}
    whole = _numbers(count_of(shape))
    for block in dict.fromkeys(name.rsplit(".layer.", 1)[0] for name in names):
        layers = [name for name in names if name.rsplit(".layer.", 1)[0] == block]
        cut = _cut(shape, [f"{block}.transformers"])
        if cut is None:  # the only ones there are
            continue
        left = _numbers(count_of(cut))
        for name in layers:
            found[name] = [(a - b) / len(layers) for a, b in zip(whole, left, strict=True)]
    return found


def _numbers(count: Any) -> list[float]:
    return [count.parameters, count.macs, count.macs_no_bmm]


if __name__ == "__main__":
    raise SystemExit(main())
