"""When does each plan leave the full run?"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines
from workbench.labs.diffusion.curves import curve
from workbench.labs.diffusion.scene import Scene
from workbench.study.comparison import Comparison


def error_by_step(scene: Scene, known: Sequence[Comparison]) -> Chart:
    """Relative latent error against the full run after each step, a mean over pictures.

    A shorter run is shown only where the full run stands at the same share of its way: elsewhere
    their noise differs, whatever the plan. Both start from the same noise, so without an error.
    """
    rows = []
    for method in scene.methods[1:]:
        errors = curve("latent_error", method.code(), known)
        steps = len(errors)
        shared = [
            (step + 1, float(error.mean()))
            for step, error in errors.items()
            if (step + 1) * scene.steps % steps == 0
        ]
        for done, error in [(0, 0.0), *shared] if shared else []:
            rows.append(
                {
                    "method": method.name,
                    "share": 100 * done / steps,
                    "error": error,
                    "key": f"{method.name} {done}",
                }
            )
    return lines(
        rows,
        Axis("share", "Way through the run (%)", domain=(0, 100)),
        Axis("error", "Relative error"),
        title="When does each plan leave the full run?",
        subtitle="Relative error of the sample after each step, mean over pictures",
        slots=scene.slots,
        dashed=True,
        height=170,
    )
