"""From views and pictures to what the browser reads: JSON, with pictures named by their hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from workbench.panels import picture as content
from workbench.panels.marks import slot_of
from workbench.panels.view import Hints, KnobGroup, Problem, View
from workbench.study.knobs import KnobField, describe

KINDS = {
    content.ChartContent: "chart",
    content.SplitContent: "split",
    content.ImagesContent: "images",
    content.FiguresContent: "figures",
    content.TableContent: "table",
    content.EmptyContent: "empty",
    content.PairsContent: "pairs",
    content.PaintContent: "paint",
    content.DiagramContent: "diagram",
    content.SharesContent: "shares",
    content.GalleryContent: "gallery",
    content.WrittenContent: "written",
}


_PLAIN = frozenset({str, int, bool, type(None)})


def schema(view: View) -> dict[str, Any]:
    """What never changes: name, groups of knobs, presets, layout, exports."""
    return {
        "title": view.title,
        "study": view.study_line,
        "verb": view.verb,
        "groups": [_group(group) for group in view.groups],
        "presets": [preset.label for preset in view.presets],
        "layout": [[dataclasses.asdict(slot) for slot in row] for row in view.layout],
        "exports": [dataclasses.asdict(export) for export in view.exports],
    }


def _group(group: KnobGroup) -> dict[str, Any]:
    return {
        "id": group.id,
        "label": group.label,
        "note": group.note,
        "mark": slot_of(group.method),
        "knobs": [
            {**_field(field), "mark": slot_of(group.marks.get(field.name))}
            for field in describe(group.knobs)
        ],
    }


def _field(field: KnobField) -> dict[str, Any]:
    plain = dataclasses.asdict(field)
    plain["choices"] = [[value, name] for value, name in field.choices]
    plain["visible_when"] = {
        name: list(wanted) if isinstance(wanted, tuple | list) else [wanted]
        for name, wanted in (field.visible_when or {}).items()
    }
    return json.loads(json.dumps(plain))


def hints(hints: Hints) -> dict[str, Any]:
    """Hints as JSON."""
    return json.loads(json.dumps(dataclasses.asdict(hints)))


def problems(found: list[Problem], groups: list[str]) -> list[dict[str, str]]:
    """Problems with their group: "group.field" is split."""
    result = []
    for problem in found:
        group, name = getattr(problem, "group", ""), problem.field
        if not group and "." in name and name.split(".", 1)[0] in groups:
            group, name = name.split(".", 1)
        result.append(
            {"level": problem.level, "group": group, "field": name, "message": problem.message}
        )
    return result


def encode(value: Any, images: dict[str, bytes]) -> Any:
    """Plain values of any content; PNG bytes go to `images` under their hash.

    Dataclasses become dicts with a "kind" where they are contents; method names in "method"
    fields become mark slots.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        name = hashlib.sha256(data).hexdigest()[:20]
        images[name] = data
        return {"image": name}
    if isinstance(value, content.ChartContent):
        return _chart(value, images)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain: dict[str, Any] = {
            field.name: slot_of(getattr(value, field.name))
            if field.name == "method"
            else encode(getattr(value, field.name), images)
            for field in dataclasses.fields(value)
        }
        if type(value) in KINDS:
            plain["kind"] = KINDS[type(value)]
        return plain
    if isinstance(value, Mapping):
        names = [str(key) for key in value]
        return dict(zip(names, encode(list(value.values()), images), strict=True))
    if isinstance(value, list | tuple):
        # Most of a chart's rows are plain numbers and words: they take no call of their own.
        return [
            item
            if type(item) in _PLAIN or (type(item) is float and isfinite(item))
            else encode(item, images)
            for item in value
        ]
    if hasattr(value, "item") and callable(value.item) and getattr(value, "ndim", 0) == 0:
        return _finite(value.item())
    return _finite(value)


def _chart(chart: content.ChartContent, images: dict[str, bytes]) -> dict[str, Any]:
    """The largest part of what is sent; what a chart form drew is plain already."""
    words = {name: getattr(chart, name) for name in ("title", "subtitle", "description", "height")}
    return {
        "kind": KINDS[content.ChartContent],
        **words,
        "spec": dict(chart.spec),
        "rows": encode(chart.rows, images) if chart.chart is None else dict(chart.chart.rows),
    }


def _finite(value: Any) -> Any:
    """NaN and infinity have no JSON; a chart leaves the point out."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
