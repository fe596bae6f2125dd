"""A-SDM's tuned half: UNets assembled of fewer blocks, conditional convolution, switching.

Zhu et al. 2024 (arXiv 2406.00210), of which the abstract is public; what is dropped and how it is
recovered is BK-SDM's (Kim et al. 2023, arXiv 2305.15798), and the rest is ours and says so.

A diagram of a UNet needs six calls, all of configurations alone: nothing is loaded.

    shape = UNetShape(UNetConfig(), 64, 64, 77)     # Stable Diffusion 1; or `pipeline.shape`
    for block in blocks(shape): ...                 # name, block, parameters, MACs, droppable alone
    droppable(shape.config)                         # every name that may go alone
    dropped_by(shape.config, "small")               # the names of a preset
    count_without(shape, ["down.1.layer.1", "mid"]) # parameters and MACs of what is left, at once
    matching(shape.config, ["down.0.layer.0"])      # the trained student that ships, or None

A set that cannot be dropped is a `DropError` of one line, to be shown. `assemble(config, names)`
has the student's form (`config`), what goes with the names (`kept`), and where each module's
weights come from (`sources`). `Assembled`, `Switched`, `ConditionalConvolution` and `Precision` are
methods, to be composed with plans: `Assembled("small").then(Precision("int8")).then(plan)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.diffusion.assembly.assembled import Assembled
    from workbench.diffusion.assembly.assembling import Assembly, assemble
    from workbench.diffusion.assembly.conditional import ConditionalConvolution
    from workbench.diffusion.assembly.counting import (
        Block,
        Count,
        blocks,
        count_of,
        count_without,
    )
    from workbench.diffusion.assembly.dropping import DropError, droppable
    from workbench.diffusion.assembly.precision import Precision
    from workbench.diffusion.assembly.presets import PRESETS, dropped_by
    from workbench.diffusion.assembly.switched import Switched
    from workbench.diffusion.assembly.trained import Checkpoint, checkpoints, matching
    from workbench.diffusion.switch_speed import predicted_speed

_PLACES = {
    "PRESETS": "assembly.presets",
    "Assembled": "assembly.assembled",
    "Assembly": "assembly.assembling",
    "Block": "assembly.counting",
    "Checkpoint": "assembly.trained",
    "ConditionalConvolution": "assembly.conditional",
    "Count": "assembly.counting",
    "DropError": "assembly.dropping",
    "Precision": "assembly.precision",
    "Switched": "assembly.switched",
    "assemble": "assembly.assembling",
    "blocks": "assembly.counting",
    "checkpoints": "assembly.trained",
    "count_of": "assembly.counting",
    "count_without": "assembly.counting",
    "droppable": "assembly.dropping",
    "dropped_by": "assembly.presets",
    "matching": "assembly.trained",
    "predicted_speed": "switch_speed",
}
__all__ = [
    "PRESETS",
    "Assembled",
    "Assembly",
    "Block",
    "Checkpoint",
    "ConditionalConvolution",
    "Count",
    "DropError",
    "Precision",
    "Switched",
    "assemble",
    "blocks",
    "checkpoints",
    "count_of",
    "count_without",
    "droppable",
    "dropped_by",
    "matching",
    "predicted_speed",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"workbench.diffusion.{_PLACES[name]}"), name)
