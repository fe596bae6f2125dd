"""The UNets whose blocks can be clicked away, with the cost of each block counted before.

`python -m workbench.labs.diffusion.assembling.record` counts them anew; counting takes some
seconds a network, summing takes none, so that a click is answered at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from workbench import shipped
from workbench.diffusion.assembly.dropping import Kept, kept, whole
from workbench.diffusion.unet.config import UNetConfig
from workbench.figures.numbers import number

FILE = "data/diffusion-lab/unet-blocks.json"
DIGITS, SD15, SD21, SDXL, TD4 = "digits", "sd15", "sd21", "sdxl", "td4"
NAMES = {
    SD15: "Stable Diffusion 1",
    SD21: "Stable Diffusion 2",
    SDXL: "SDXL",
    TD4: "SDXL, depths 4 and 4",
    DIGITS: "Shipped digits",
}


@dataclass(frozen=True)
class Sum:
    """Of parts of a UNet, for one sample.

    Attributes:
        parameters: how many.
        macs: multiply-accumulates of a pass.
        macs_no_bmm: without attention's two products.
    """

    parameters: float
    macs: float
    macs_no_bmm: float

    def __add__(self, other: Sum) -> Sum:
        return Sum(*(a + b for a, b in zip(self.parts, other.parts, strict=True)))

    def __sub__(self, other: Sum) -> Sum:
        return Sum(*(a - b for a, b in zip(self.parts, other.parts, strict=True)))

    @property
    def parts(self) -> tuple[float, float, float]:
        """The three numbers."""
        return self.parameters, self.macs, self.macs_no_bmm


@dataclass(frozen=True, eq=False)
class Network:
    """One UNet, counted.

    Attributes:
        name: on the screen.
        config: its form.
        side: of its latents.
        blocks: cost of each layer by name.
        transformers: cost of the transformers alone, of each layer that has some.
        innermost: what costs otherwise once all stages inside a level are gone, by level: its
            first layer on the way up, and the middle, whose transformers are "mid.transformers".
        rest: what is in no layer: the embeddings of time and class.
    """

    name: str
    config: UNetConfig
    side: int
    blocks: Mapping[str, Sum]
    transformers: Mapping[str, Sum]
    innermost: Mapping[int, Mapping[str, Sum]]
    rest: Sum

    @property
    def total(self) -> Sum:
        """Of the whole."""
        return self.of(whole(self.config))

    def without(self, names: Iterable[str]) -> Sum:
        """Of what stays when these go.

        Raises:
            DropError: names that cannot go.
        """
        return self.of(kept(self.config, names))

    def of(self, parts: Kept) -> Sum:
        """Of what is kept: a layer costs what it did, but where a stage lost all inside it."""
        found = self.rest + self.blocks["conv_in"] + self.blocks["conv_out"]
        levels, level = len(self.config.layers), len(parts.stages) - 1
        changed = self.innermost.get(level, {}) if level + 1 < levels else {}
        for name in layers_of(parts, levels):
            if name not in self.blocks:
                continue
            found += changed.get(name, self.blocks[name])
            if name in self.transformers and not attends(parts, name, levels):
                key = "mid.transformers" if name.startswith("mid.") else name
                found -= changed.get(key, self.transformers[name])
        return found


def layers_of(parts: Kept, levels: int) -> list[str]:
    """Names of the layers that run, but for the first and the last convolution.

    Args:
        parts: what is kept.
        levels: of the UNet it is kept of.
    """
    found = []
    for level, stage in enumerate(parts.stages):
        found += [f"down.{level}.layer.{j}" for j in stage.down]
        if level + 1 < len(parts.stages):
            found.append(f"down.{level}.downsample")
    if parts.mid:
        found += ["mid.layer.0", "mid.layer.1"]
    for level in range(len(parts.stages) - 1, -1, -1):
        up = levels - 1 - level
        found += [f"up.{up}.layer.{j}" for j in parts.stages[level].up]
        if level > 0:
            found.append(f"up.{up}.upsample")
    return found


def attends(parts: Kept, name: str, levels: int) -> bool:
    """Whether the transformers of a layer that runs are kept."""
    side, number, *_ = name.split(".")
    if side == "mid":
        return parts.mid_attends
    if side == "down":
        return parts.stages[int(number)].down_attends
    return parts.stages[levels - 1 - int(number)].up_attends


def told(macs: float) -> str:
    """Multiply-accumulates in words, short."""
    return f"{number(macs / 1e9)} G" if macs >= 1e8 else f"{number(macs / 1e6)} M"


@cache
def network(key: str) -> Network:
    """One of `NAMES`, as counted.

    Raises:
        KeyError: no such network.
    """
    known = _records()[key]
    return Network(
        NAMES[key],
        UNetConfig.model_validate(known["config"]),
        int(known["side"]),
        {name: Sum(*numbers) for name, numbers in known["blocks"].items()},
        {name: Sum(*numbers) for name, numbers in known["transformers"].items()},
        {
            int(level): {name: Sum(*numbers) for name, numbers in costs.items()}
            for level, costs in known["innermost"].items()
        },
        Sum(*known["rest"]),
    )


@cache
def _records() -> Mapping[str, Any]:
    text = shipped.path(FILE).read_text(encoding="utf-8")
    found: Mapping[str, Any] = json.loads(text)
    return found
