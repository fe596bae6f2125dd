"""Every chart form by its name: what `figure.toml` names and what a lab calls."""

from collections.abc import Callable

from workbench.figures.bar_chart import bars
from workbench.figures.chart import Chart, ChartError
from workbench.figures.contour_chart import contours
from workbench.figures.gap_chart import gaps
from workbench.figures.heat_map import heat
from workbench.figures.line_chart import lines
from workbench.figures.pareto_chart import pareto
from workbench.figures.range_chart import ranges
from workbench.figures.roofline_chart import roofline
from workbench.figures.waterline_chart import waterline

FORMS: dict[str, Callable[..., Chart]] = {
    "bars": bars,
    "contours": contours,
    "gaps": gaps,
    "heat": heat,
    "lines": lines,
    "pareto": pareto,
    "ranges": ranges,
    "roofline": roofline,
    "waterline": waterline,
}

__all__ = [
    "FORMS",
    "Chart",
    "ChartError",
    "bars",
    "contours",
    "gaps",
    "heat",
    "lines",
    "pareto",
    "ranges",
    "roofline",
    "waterline",
]
