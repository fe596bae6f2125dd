"""Where do features move, and what does the plan skip?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from workbench.diffusion.plan import Plan
from workbench.figures.charts import Chart, heat
from workbench.labs.diffusion.scene import Scene


def drift_map(
    scene: Scene,
    blocks: Sequence[str],
    drift: np.ndarray,
    reused: Mapping[str, Sequence[str]],
) -> Chart:
    """Relative change of each block at each step of the full run, the plan drawn above.

    A run with another number of steps shows the recorded steps at the same share of the way.
    """
    plan = scene.plans[scene.look.code()]
    source = (np.arange(plan.steps) * drift.shape[1]) // plan.steps
    rows = [
        {
            "step": step,
            "block": block.replace(".", " "),
            "value": float(drift[place, source[step]]),
            "reused": block in _skipped(plan, step, reused),
        }
        for place, block in enumerate(blocks)
        for step in range(plan.steps)
        if np.isfinite(drift[place, source[step]])
    ]
    return heat(
        rows,
        subtitle="Relative change since the step before · faded: reused from the last full step",
        steps=plan.steps,
        blocks=[block.replace(".", " ") for block in blocks],
        plan=plan.full_steps,
        slot=scene.slot(scene.look),
        method=scene.look.name,
    )


def _skipped(plan: Plan, step: int, reused: Mapping[str, Sequence[str]]) -> Sequence[str]:
    action = plan.actions[step]
    if action == "full":
        return ()
    return reused["decode"] if action == "decode" else reused[f"shallow {plan.branch}"]
