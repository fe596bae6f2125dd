"""A page of the four chart forms, with invented rows, for tests in a browser."""

import json
import math
import random

from workbench.figures import bars, heat, lines, pareto, stylesheet
from workbench.figures.axes import Axis
from workbench.panels import assets

SLOTS = {
    "Full sampling": 0,
    "Encoder propagation": 1,
    "Feature inheritance": 2,
    "Automatic plan": 3,
}
KEYS = [0, 1, 2, 3, 5, 10, 15, 25, 35]


def trials(shift=0.0):
    """Invented trials of four methods; nothing here is a result."""
    points = {
        "Full sampling": [(0.35, 0.645), (0.52, 0.765), (0.84, 0.868), (1.05, 0.905), (2.1, 1.0)],
        "Encoder propagation": [(1.49, 0.912), (1.52, 0.944), (1.58, 0.968), (1.86, 0.987)],
        "Feature inheritance": [(0.56, 0.812), (0.66, 0.862), (0.78, 0.902), (1.34, 0.958)],
        "Automatic plan": [(0.48, 0.867), (0.58, 0.905), (0.92, 0.962), (1.62, 0.988)],
    }
    labels = ["8", "12", "20", "25", "50 steps"]
    rows = [
        {
            "trial_id": f"{method} {place}",
            "method": method,
            "seconds": x + shift,
            "ssim": y,
            "predicted": place == 1 and method.startswith(("Auto", "Feat")),
            "label": labels[place] if method == "Full sampling" else None,
        }
        for method, pairs in points.items()
        for place, (x, y) in enumerate(pairs)
    ]
    early = {**rows[7], "seconds": 1.3 + shift, "predicted": True}
    return [*rows, early]


def draw_pareto(shift=0.0, rows=None, end=2.4):
    return pareto(
        trials(shift) if rows is None else rows,
        Axis("seconds", "Seconds per image (median of 7)", domain=(0, end)),
        Axis("ssim", "SSIM to the full run", domain=(0.6, 1.0)),
        title="How much time does each plan save, and at what loss?",
        current="Encoder propagation 2",
        pins={"Full sampling 4": "A", "Full sampling 2": "B"},
        names={"Full sampling": "Full, fewer steps"},
        slots=SLOTS,
    )


def draw_bars():
    values = [(100, 100, 1), (73.3, 75.2, 1.3), (38.1, 37.2, 1.1), (42, 44, 2)]
    rows = [
        {"method": name, "predicted": p, "measured": m, "low": m - s, "high": m + s}
        for name, (p, m, s) in zip(SLOTS, values, strict=True)
    ]
    return bars(rows, Axis("measured", unit="%", domain=(0, 100)), slots=SLOTS)


def draw_heat():
    noise = random.Random(0)
    base = {"down 0": 0.12, "down 1": 0.1, "mid": 0.09, "up 0": 0.5, "up 1": 1.0, "up 2": 1.6}
    rows = [
        {
            "step": step,
            "block": block,
            "value": size * (1 + 2 * math.exp(-step / 3)) * (1 + 0.15 * noise.random()),
            "reused": block[0] in "dm" and step not in KEYS,
        }
        for block, size in base.items()
        for step in range(1, 50)
    ]
    return heat(rows, plan=KEYS, slot=1, thresholds=(0.1, 0.2, 0.4, 0.6, 0.9, 1.3, 2.0))


def draw_lines():
    rows = []
    for method, size in [("Full sampling", 1.0), ("Encoder propagation", 0.8), ("Mine", 1.3)]:
        for step in range(1, 61):
            y = 2 + size * math.exp(-step / 20)
            band = {} if step > 40 else {"low": y - 0.04, "high": y + 0.04}
            rows.append({"method": method, "x": step / 2, "y": y, "predicted": step > 40, **band})
            if step == 40:
                rows.append({**rows[-1], "predicted": True, "low": None, "high": None})
    return lines(
        rows,
        Axis("x", "Training data (MB)"),
        Axis("y", "Bits per byte"),
        title="Which model learns more from the same bytes?",
        subtitle="Hollow: forecast · band: 95 %",
        slots={**SLOTS, "Mine": 4},
        extrapolated=20,
    )


DRAWN = {"pareto": draw_pareto, "bars": draw_bars, "heat": draw_heat, "lines": draw_lines}

PAGE = """<!doctype html><html><head><meta charset="utf-8"><title>charts</title>
<style>
%(css)s
body { margin: 16px; font: 13px/18px system-ui, "DejaVu Sans", sans-serif; background: #fff; }
body[data-jp-theme-light="true"] { --jp-layout-color0: #fff; --jp-ui-font-color0: #000; }
body[data-jp-theme-light="false"] { background: #111; --jp-layout-color0: #111;
  --jp-ui-font-color0: #fff; }
.wb { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; color: var(--wb-t1); }
figure { margin: 0; min-width: 0; }
b { display: block; font-weight: 600; } small { display: block; color: var(--wb-t2);
  font-size: 11px; margin-bottom: 10px; }
</style>%(config)s</head>
<body data-jp-theme-light="true"><div class="wb"></div>
<script type="module">%(script)s
window.made = {}; window.picked = []; window.hovered = [];
window.make = async (id, chart, width, model) => {
  const figure = document.createElement("figure");
  figure.id = id; figure.style.width = width + "px";
  const title = document.createElement("b"); title.textContent = chart.title;
  const subtitle = document.createElement("small"); subtitle.textContent = chart.subtitle;
  const host = document.createElement("div");
  figure.append(title, subtitle, host);
  document.querySelector(".wb").append(figure);
  const made = createChart(host, {
    model: model || {}, onPick: (row) => window.picked.push(row.trial || row.key),
    onHover: (row) => window.hovered.push(row && row.key),
  });
  window.made[id] = made;
  await made.setChart(chart);
};
window.formatNumber = formatNumber;
window.loaded = true;
</script></body></html>"""


def as_json(chart):
    return {
        "title": chart.title,
        "subtitle": chart.subtitle,
        "description": chart.description,
        "spec": chart.spec,
        "rows": chart.rows,
    }


def page_text(base="/"):
    config = ""
    if base:
        config = (
            '<script id="jupyter-config-data" type="application/json">'
            f"{json.dumps({'baseUrl': base})}</script>"
        )
    return PAGE % {
        "css": stylesheet(".wb"),
        "script": assets.joined(assets.CHART_PARTS),
        "config": config,
    }
