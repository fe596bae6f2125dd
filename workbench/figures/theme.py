"""One look: the Vega-Lite configuration, the CSS behind it, and colours for export.

On the screen every colour is a CSS variable (`var(--wb-t2)`), so a chart follows the theme
without being drawn again. Exporters paint such a token black, so `resolve` replaces it.
"""

import copy
import re
from typing import Any

from workbench.figures import palette
from workbench.figures.palette import Theme

FONT = "DejaVu Sans, Liberation Sans, Arial, sans-serif"
"""Fonts of an exported picture: what a plain Linux has. On screen the page's font is used."""

NEUTRAL_SHARES: dict[str, tuple[int, int]] = {
    "t1": (88, 88),
    "t2": (68, 68),
    "t3": (58, 58),
    "edge": (48, 48),
    "line": (14, 19),
    "grid": (8, 10),
    "fill": (3, 4),
    "hover": (7, 10),
}
"""Per cent of ink over paper, light and dark."""

GROUND: dict[Theme, tuple[str, str]] = {
    "light": ("#000000", "#ffffff"),
    "dark": ("#ffffff", "#111111"),
}
"""Ink and paper outside a page that sets its own."""

STATES: dict[str, tuple[str, str]] = {
    "ok": ("#2e7d32", "#66bb6a"),
    "warn": ("#b26a00", "#ffb74d"),
    "error": ("#c62828", "#ef6b66"),
    "running": ("#1976d2", "#64b5f6"),
    "focus": ("#1976d2", "#64b5f6"),
}

_TOKEN = re.compile(r"var\((--wb-[a-z0-9-]+)(?:\s*,[^)]*)?\)")


def var(token: str) -> str:
    """Returns the CSS reference of one of our colours: `var("t2")` is `var(--wb-t2)`."""
    return f"var(--wb-{token})"


def colors(theme: Theme = "light") -> dict[str, str]:
    """Returns every custom property of the look as a plain hex colour."""
    side = 0 if theme == "light" else 1
    ink, paper = GROUND[theme]
    found = {"--wb-ink": ink, "--wb-paper": paper}
    for name, shares in NEUTRAL_SHARES.items():
        found[f"--wb-{name}"] = palette.mix(ink, paper, shares[side] / 100)
    for name, pair in STATES.items():
        found[f"--wb-{name}"] = pair[side]
    return found | palette.css_variables(theme)


def declarations(theme: Theme = "light") -> str:
    """Returns the CSS declarations of one theme; neutrals are mixed from JupyterLab's own."""
    side = 0 if theme == "light" else 1
    ink, paper = GROUND[theme]
    lines = [
        f"color-scheme: {theme};",
        f"--wb-ink: var(--jp-ui-font-color0, {ink});",
        f"--wb-paper: var(--jp-layout-color0, {paper});",
    ]
    for name, shares in NEUTRAL_SHARES.items():
        mixed = f"color-mix(in srgb, var(--wb-ink) {shares[side]}%, var(--wb-paper))"
        lines.append(f"--wb-{name}: {mixed};")
    for name, pair in STATES.items():
        value = f"var(--jp-brand-color1, {pair[side]})" if name == "focus" else pair[side]
        lines.append(f"--wb-{name}: {value};")
    for name, value in palette.css_variables(theme).items():
        if re.fullmatch(r"--wb-m\dt", name):
            value = f"color-mix(in srgb, var({name[:-1]}) 75%, var(--wb-ink))"
        lines.append(f"{name}: {value};")
    return "\n  ".join(lines)


def stylesheet(selector: str = ".wb") -> str:
    """Returns the CSS that gives `selector` all our colours, in light and in dark.

    JupyterLab says its theme on `body`; elsewhere the reader's system decides.
    """
    return (
        f"{selector} {{\n  {declarations('light')}\n}}\n"
        f'[data-jp-theme-light="false"] {selector} {{\n  {declarations("dark")}\n}}\n'
        f"@media (prefers-color-scheme: dark) {{\n"
        f":root:not(:has([data-jp-theme-light])) {selector} {{\n  {declarations('dark')}\n}}\n}}\n"
        f'[data-jp-theme-name*="High Contrast"] {selector} '
        f"{{ --wb-line: var(--jp-border-color1, currentColor); }}\n"
    )


def config() -> dict[str, Any]:
    """Returns the Vega-Lite configuration of every chart, with colours as CSS variables."""
    return {
        "background": "transparent",
        "font": FONT,
        "padding": 0,
        "view": {"stroke": None},
        "axis": {
            "labelColor": var("t2"),
            "labelFontSize": 11,
            "labelPadding": 6,
            "titleColor": var("t2"),
            "titleFontSize": 11,
            "titleFontWeight": 400,
            "titlePadding": 8,
            "domainColor": var("edge"),
            "tickColor": var("edge"),
            "tickSize": 4,
            "gridColor": var("grid"),
            "gridWidth": 1,
        },
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False, "grid": True},
        "legend": {"disable": True},
        "text": {"fontSize": 11, "color": var("t2")},
        "title": {
            "anchor": "start",
            "frame": "bounds",
            "color": var("t1"),
            "fontSize": 13,
            "fontWeight": 600,
            "subtitleColor": var("t2"),
            "subtitleFontSize": 11,
            "subtitlePadding": 4,
            "offset": 12,
        },
    }


def resolve(spec: dict[str, Any], theme: Theme = "light") -> dict[str, Any]:
    """Returns a copy of a specification with each CSS variable replaced by its hex colour.

    Raises:
        KeyError: if a variable is not one of ours.
    """
    table = colors(theme)

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [replaced(inner) for inner in value]
        if isinstance(value, str) and "var(" in value:
            return _TOKEN.sub(lambda match: table[match.group(1)], value)
        return value

    painted = replaced(copy.deepcopy(spec))
    painted["background"] = table["--wb-paper"]
    return dict(painted)
