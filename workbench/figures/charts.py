"""Every chart form by its name: what `figure.toml` names and what a lab calls."""

from collections.abc import Callable

from workbench.figures.bars import bars
from workbench.figures.chart import Chart, ChartError
from workbench.figures.heat import heat
from workbench.figures.lines import lines
from workbench.figures.pareto import pareto

FORMS: dict[str, Callable[..., Chart]] = {
    "bars": bars,
    "heat": heat,
    "lines": lines,
    "pareto": pareto,
}

__all__ = ["FORMS", "Chart", "ChartError", "bars", "heat", "lines", "pareto"]
