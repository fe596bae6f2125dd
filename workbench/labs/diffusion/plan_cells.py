"""Which blocks a step computes and which it keeps: the cells of the plan editor's grid."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from workbench.diffusion.arithmetic import NodeCost, UnitCosts
from workbench.labs.diffusion.facts import ModelFacts
from workbench.panels.painting import COMPUTED, KEPT, PART


def row_names(costs: UnitCosts) -> tuple[str, ...]:
    """Rows of the grid: the blocks between the first and the last convolution, in order."""
    return tuple(dict.fromkeys(node.block for node in costs.nodes))


def column(facts: ModelFacts, action: str, branch: int, inherited: Sequence[str]) -> list[str]:
    """The state of each row in a step that does `action`."""
    costs, rows = facts.costs, row_names(facts.costs)
    if action == "full":
        return [COMPUTED for _ in rows]
    given = _given(facts, action, branch, inherited)
    live = _live(costs.nodes, given)
    inside = {unit for node in costs.nodes for unit in node.units} & set(inherited)
    cut = {node.name for node in costs.nodes if inside & node.units.keys()}
    return [_state([n.name for n in costs.nodes if n.block == row], live, cut) for row in rows]


def _state(parts: Sequence[str], live: Collection[str], cut: Collection[str]) -> str:
    computed = [part in live for part in parts]
    if not any(computed):
        return KEPT
    return COMPUTED if all(computed) and not set(cut).intersection(parts) else PART


def _live(nodes: Sequence[NodeCost], given: Collection[str]) -> set[str]:
    """Layers that must run for the output when the values of `given` are at hand."""
    needed, live = {nodes[-1].name}, set()
    for node in reversed(nodes):
        if node.name in needed and node.name not in given:
            live.add(node.name)
            needed.update(node.inputs)
    return live


def _given(
    facts: ModelFacts, action: str, branch: int, inherited: Sequence[str]
) -> Collection[str]:
    """Layers whose values are at hand."""
    nodes = facts.costs.nodes
    if action == "decode":
        kept = (nodes[0].block, *facts.reused["decode"])  # and what stands before the first block
        return {node.name for node in nodes if node.block in kept}
    if action == "shallow":
        up = [node for node in nodes if node.block.startswith("up.")]
        takers = [node for node in up if len(node.inputs) == 2]  # the hidden state and a skip
        return {takers[max(len(takers) - 1 - branch, 0)].inputs[0]}
    return {node.name for node in nodes if node.name in inherited or node.block in inherited}


def unknown_name(costs: UnitCosts, inherited: Sequence[str]) -> str:
    """The first name that is no block, layer or unit of the model; empty where all are."""
    known = {node.block for node in costs.nodes} | {node.name for node in costs.nodes}
    known |= {unit for node in costs.nodes for unit in node.units}
    return next((name for name in inherited if name not in known), "")
