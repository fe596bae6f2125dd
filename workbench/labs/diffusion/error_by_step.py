"""When does each plan leave the full run?"""

from __future__ import annotations

from workbench.figures.charts import Chart, lines
from workbench.labs.diffusion.scene import Scene
from workbench.study.comparison import Comparison


def error_by_step(scene: Scene, comparison: Comparison | None) -> Chart:
    """Relative latent error against the full run after each step, a mean over pictures."""
    rows = []
    for method in scene.methods[1:]:
        curve = _curve(method.code(), comparison)
        for step, error in curve:
            rows.append(
                {
                    "method": method.name,
                    "share": 100 * (step + 1) / len(curve),
                    "error": error,
                    "key": f"{method.name} {step}",
                }
            )
    return lines(
        rows,
        x="share",
        y="error",
        title="When does each plan leave the full run?",
        subtitle="Relative error of the sample after each step, mean over pictures",
        x_title="Way through the run (%)",
        y_title="Relative error",
        x_domain=(0, 100),
        slots=scene.slots,
        height=170,
    )


def _curve(code: str, comparison: Comparison | None) -> list[tuple[int, float]]:
    if comparison is None:
        return []
    trials = comparison.tables.trials
    ids = trials["trial_id"][trials["code"] == code]
    series = comparison.tables.series
    chosen = series[(series["name"] == "latent_error") & series["trial_id"].isin(ids)]
    means = chosen.groupby("x")["y"].mean()
    return [(int(step), float(error)) for step, error in means.items()]
