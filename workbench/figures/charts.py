"""Every chart form by its name: what `figure.toml` names and what a lab calls."""

from collections.abc import Callable

from workbench.figures.bar_chart import bars
from workbench.figures.chart import Chart, ChartError
from workbench.figures.contour_chart import contours
from workbench.figures.heat_map import heat
from workbench.figures.line_chart import lines
from workbench.figures.pareto_chart import pareto
from workbench.figures.range_chart import ranges
from workbench.figures.roofline_chart import roofline

FORMS: dict[str, Callable[..., Chart]] = {
    "bars": bars,
    "contours": contours,
    "heat": heat,
    "lines": lines,
    "pareto": pareto,
    "ranges": ranges,
    "roofline": roofline,
}

__all__ = [
    "FORMS",
    "Chart",
    "ChartError",
    "bars",
    "contours",
    "heat",
    "lines",
    "pareto",
    "ranges",
    "roofline",
]
