"""Charts of the demonstration view: made-up curves over the look's own configuration."""

import math
from typing import Any

from workbench.figures import theme
from workbench.panels.picture import ChartContent
from workbench.panels.view import Values

NAMES = ("Full sampling", "Encoder propagation", "Feature inheritance", "Automatic plan")


def _hue(field: str = "slot") -> dict[str, Any]:
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": [0, 1, 2, 3], "range": [f"var(--wb-m{i})" for i in range(4)]},
        "legend": None,
    }


def pareto(values: Values, basis: str, share: float) -> ChartContent:
    noise = values["encoder"].noise
    group = values["encoder"].group
    curves = {
        0: [(0.35, 0.645), (0.52, 0.765), (0.84, 0.868), (1.05, 0.905), (2.1, 1.0)],
        1: [(1.49, 0.913), (1.52, 0.945), (1.58, 0.968 - 5 * abs(noise - 0.003)), (1.66, 0.975)],
        2: [(0.56, 0.812), (0.66, 0.862), (0.78, 0.902), (1.05, 0.936), (1.34, 0.957)],
        3: [(0.48, 0.868), (0.58, 0.905), (0.66, 0.93), (0.92, 0.962), (1.62, 0.989)],
    }
    rows = []
    for slot, points in curves.items():
        for index, (x, y) in enumerate(points):
            hollow = basis == "predicted" and slot == 1
            x_moved = x - 0.004 * (group - 15) if slot == 1 else x
            about = {"key": f"{slot}/{index}", "method": NAMES[slot], "slot": slot}
            rows.append({**about, "x": x_moved, "y": y, "predicted": hollow})
    x = {"field": "x", "type": "quantitative", "title": "Seconds per image (median of 7)",
         "scale": {"domain": [0, 2.3]}}  # fmt: skip
    y = {"field": "y", "type": "quantitative", "scale": {"domain": [0.6, 1.0]},
         "axis": {"title": "SSIM to the full run", "titleAngle": 0, "titleAlign": "left",
                  "titleAnchor": "end", "titleX": -30, "titleY": -12, "format": ".2f",
                  "titleBaseline": "bottom"}}  # fmt: skip
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": theme.config(),
        "data": {"name": "live"},
        "encoding": {"x": x, "y": y, "color": _hue()},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.4}},
            {
                "mark": {"type": "point", "size": 60, "strokeWidth": 1.7, "opacity": 1},
                "name": "points",
                "encoding": {
                    "shape": {"field": "slot", "type": "nominal", "legend": None,
                              "scale": {"domain": [0, 1, 2, 3],
                                        "range": ["circle", "square", "diamond", "triangle-up"]}},
                    "fill": {"condition": {"test": "datum.predicted", "value": "var(--wb-paper)"},
                             "field": "slot", "type": "nominal", "legend": None,
                             "scale": _hue()["scale"]},
                },
            },
        ],
        "usermeta": {"workbench": {"data": "live", "travel": ["points"], "series": "method"}},
    }  # fmt: skip
    subtitle = "Upper left is better · hollow: predicted, not yet run"
    return ChartContent("How much time does each plan save, and at what loss?", subtitle,
                        "Similarity against seconds per picture.", spec, rows)  # fmt: skip


def drift(full: list[int]) -> ChartContent:
    blocks = ["down 0", "down 1", "down 2", "down 3", "mid", "up 0", "up 1", "up 2", "up 3"]
    rows = [
        {"key": f"{block}/{step}", "block": block, "step": step,
         "value": min(7, math.floor((1 + i * (i > 4)) * (0.4 + 0.02 * step) + 2 * (step in full)))}
        for i, block in enumerate(blocks)
        for step in range(50)
    ]  # fmt: skip
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": theme.config(),
        "data": {"name": "live"},
        "mark": {"type": "rect"},
        "encoding": {
            "x": {"field": "step", "type": "ordinal", "title": "Sampling step",
                  "axis": {"values": list(range(0, 50, 5)), "labelAngle": 0}},
            "y": {"field": "block", "type": "ordinal", "sort": blocks, "title": None},
            "color": {"field": "value", "type": "ordinal", "legend": None,
                      "scale": {"domain": list(range(8)),
                                "range": [f"var(--wb-area{i})" for i in range(8)]}},
        },
        "usermeta": {"workbench": {"data": "live", "travel": [], "series": "block"}},
    }  # fmt: skip
    return ChartContent("Where do features move, and what does the plan skip?",
                        "Relative change since the step before · faded: reused from the key step",
                        "Change per block and step.", spec, rows, 190)  # fmt: skip


def cost() -> ChartContent:
    rows = [{"key": str(s), "method": NAMES[s], "slot": s, "share": v}
            for s, v in enumerate((100, 75, 37, 44))]  # fmt: skip
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": theme.config(),
        "data": {"name": "live"},
        "mark": {"type": "bar", "height": 10},
        "encoding": {
            "x": {"field": "share", "type": "quantitative", "title": "% of full sampling"},
            "y": {"field": "method", "type": "nominal", "sort": list(NAMES), "title": None},
            "color": _hue(),
        },
        "usermeta": {"workbench": {"data": "live", "travel": [], "series": "method"}},
    }
    return ChartContent("Is saved arithmetic saved time?", "% of full sampling · filled: time",
                        "Share of time per method.", spec, rows, 190)  # fmt: skip
