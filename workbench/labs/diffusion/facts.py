"""Facts of a model that plans depend on: what its pieces cost, and what a reusing step skips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from workbench.diffusion.arithmetic import UnitCosts

if TYPE_CHECKING:
    from workbench.diffusion.dit import DiT
    from workbench.diffusion.pipeline import Pipeline
    from workbench.diffusion.unet import UNet2DCondition


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model before anything runs.

    Args:
        blocks: in execution order.
        reused: blocks that no part of runs, by kind of reusing step: "decode", "shallow 0", ….
    """

    costs: UnitCosts
    blocks: tuple[str, ...]
    reused: Mapping[str, tuple[str, ...]]
    parameters: int
    block_macs: Mapping[str, float]

    def record(self) -> dict[str, Any]:
        """As plain values for a file."""
        return {
            "costs": self.costs.record(),
            "blocks": list(self.blocks),
            "reused": {kind: list(blocks) for kind, blocks in self.reused.items()},
            "parameters": self.parameters,
            "block_macs": dict(self.block_macs),
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self:
        """What `record` gave."""
        reused = {kind: tuple(blocks) for kind, blocks in record["reused"].items()}
        costs = UnitCosts.of_record(record["costs"])
        blocks = tuple(record["blocks"])
        return cls(costs, blocks, reused, record["parameters"], record["block_macs"])

    @classmethod
    def of_pipeline(cls, pipeline: Pipeline) -> Self:
        """Counted on the model's structure; nothing runs."""
        from workbench.diffusion.costs import abstract_unet, block_costs, unit_costs

        parameters = sum(int(array.size) for array in pipeline.weights)
        model = abstract_unet(pipeline.config)
        blocks = model.block_names()
        costs, reused = unit_costs(pipeline.shape), _reused(model)
        by_block = block_costs(pipeline.shape)
        return cls(costs, blocks, reused, parameters, {b: by_block[b] for b in blocks})


def _reused(model: UNet2DCondition | DiT) -> dict[str, tuple[str, ...]]:
    from workbench.diffusion.unet.program import OUTPUT

    nodes = model.program
    given = {"decode": model.encoder_outputs}
    for branch in range(model.branches):
        given[f"shallow {branch}"] = (model.branch_name(branch),)
    found = {}
    for kind, names in given.items():
        values = [nodes.value_of(name) for name in names]
        known = {
            part for value in values for part in ((value,) if isinstance(value, str) else value)
        }
        live = {node.name for node in nodes.live([OUTPUT], known)}
        found[kind] = tuple(block for block, parts in nodes.blocks.items() if not live & set(parts))
    return found
