"""What stands where no widgets are: a light picture, the settings, claims as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from workbench.panels.picture import ClaimCard, Picture
from workbench.panels.view import KnobGroup, View
from workbench.study.knobs import describe

VERDICTS = {
    "reproduced": "✓ reproduced",
    "part": "◐ reproduced in part",
    "failed": "✕ not reproduced",
    "open": "– not decided",
}


def page(view: View, picture: Picture, state: Mapping[str, Mapping[str, Any]]) -> str:
    """Static HTML; the SVG comes from the view and is placed as it is, all else is escaped."""
    settings = _settings(view.groups, state)
    cards = "".join(map(_claim, picture.claims))
    return (
        '<div class="workbench-static" style="background:#fff;color:#1f1f1f;max-width:1100px;'
        "border:1px solid #dbdbdb;border-radius:6px;padding:16px;"
        'font:13px/18px system-ui,sans-serif">'
        f'<div style="font-size:16px;font-weight:600">{escape(view.title)}</div>'
        f'<div style="color:#525252">{escape(view.study_line)}</div>'
        f'<div style="margin:12px 0">{view.svg(picture)}</div>'
        f'<p style="color:#525252;font-size:12px">Settings: {escape(settings)}</p>'
        f"{cards}"
        '<p style="font-weight:600">Run this notebook to change the settings.</p></div>'
    )


def _settings(groups: Sequence[KnobGroup], state: Mapping[str, Mapping[str, Any]]) -> str:
    parts = []
    for group in groups:
        values = state.get(group.id, {})
        words = [
            f"{field.label} {_value(values.get(field.name))} {field.unit}".strip()
            for field in describe(group.knobs)
        ]
        parts.append(f"{group.label}: {', '.join(words)}")
    return "; ".join(parts)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(item) for item in value) or "none"
    return str(value)


def _claim(claim: ClaimCard) -> str:
    head = "".join(f'<th style="text-align:left">{escape(name)}</th>' for name in claim.columns)
    rows = "".join(
        f"<tr><td>{escape(row.what)}</td><td>{escape(row.paper)}</td>"
        f"<td>{'≈ ' if row.basis == 'predicted' else ''}{escape(row.here)}</td>"
        f"<td>{VERDICTS[row.verdict]}</td></tr>"
        for row in claim.rows
    )
    source = escape(claim.source)
    if claim.url.startswith("https://"):
        source = f'<a href="{escape(claim.url)}">{source}</a>'
    return (
        f"<p>Claim · {source}<br>{escape(claim.text)}</p>"
        f'<table style="border-spacing:12px 2px"><tr>{head}'
        f'<th style="text-align:left">verdict</th></tr>{rows}</table>'
        f"<p>{VERDICTS[claim.verdict]}. {escape(claim.reason)} {escape(claim.setting)}</p>"
    )
