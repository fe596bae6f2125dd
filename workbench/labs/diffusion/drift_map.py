"""Where do features move, what does the plan skip, and where does the arithmetic go?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.diffusion.plan import Action, Plan
from workbench.figures.charts import Chart, heat
from workbench.labs.diffusion.facts import ModelFacts
from workbench.labs.diffusion.scene import Scene


def drift_map(
    scene: Scene, facts: ModelFacts, drift: np.ndarray | None, borrowed: str = ""
) -> Chart:
    """Relative change of each block at each step of the full run, the plan drawn above.

    Beside each block stands its share of the operations of one whole pass.

    Args:
        drift: [blocks, steps], of another run where `borrowed` names it or where it has another
            number of steps; its steps are then shown at the same share of the way.
    """
    plan = scene.plans[scene.look.code()]
    whole = sum(facts.block_macs.values())
    rows = [] if drift is None else _rows(plan, facts, drift)
    if drift is not None and drift.shape[1] != plan.steps:
        borrowed = borrowed or f"{drift.shape[1]} steps"
    whose = f" (measured at {borrowed})" if borrowed else ""
    return heat(
        rows,
        title="Where do features move, and what is skipped?",
        subtitle=f"Relative change since the step before{whose} · thin: reused",
        steps=plan.steps,
        blocks=[_word(block) for block in facts.blocks],
        plan=plan.full_steps,
        beside={_word(block): 100 * macs / whole for block, macs in facts.block_macs.items()},
        beside_title="operations",
        beside_unit="%",
        slot=scene.slot(scene.look),
        method=scene.look.name,
    )


def _rows(plan: Plan, facts: ModelFacts, drift: np.ndarray) -> list[dict[str, Any]]:
    source = (np.arange(plan.steps) * drift.shape[1]) // plan.steps
    skipped = {action: _skipped(plan, action, facts) for action in set(plan.actions)}
    return [
        {
            "step": step,
            "block": _word(block),
            "value": float(drift[place, source[step]]),
            "reused": block in skipped[plan.actions[step]],
        }
        for place, block in enumerate(facts.blocks)
        for step in range(plan.steps)
        if np.isfinite(drift[place, source[step]])
    ]


def _word(block: str) -> str:
    return block.replace(".", " ")


def _skipped(plan: Plan, action: Action, facts: ModelFacts) -> Sequence[str]:
    """Blocks that no part of runs at a step of this kind."""
    if action == "full":
        return ()
    if action == "inherit":
        return facts.costs.idle_blocks(plan.inherited)
    return facts.reused["decode" if action == "decode" else f"shallow {plan.branch}"]
