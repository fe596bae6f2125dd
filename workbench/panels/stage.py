"""What the browser has on the screen: pictures are encoded here and only differences are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workbench.panels import wire
from workbench.panels.blind import Sides
from workbench.panels.picture import Content, PairsContent, Picture

Send = Callable[..., None]

PARTED = ("spec", "rows")
"""Fields of a chart that are sent part by part."""


class Stage:
    """Slots as last sent, and their images, each sent once under the hash of its bytes.

    Args:
        send: `send(message, buffers)` of the widget.
        sides: which side each blind picture goes to.
    """

    def __init__(self, send: Send, sides: Sides):
        self._send = send
        self._sides = sides
        self._slots: dict[str, dict[str, Any]] = {}
        self._last: dict[str, tuple[Content, dict[str, Any], dict[str, bytes]]] = {}
        self._images: dict[str, bytes] = {}
        self._sent: set[str] = set()

    @property
    def stale(self) -> set[str]:
        """Slots that show older settings."""
        return {slot for slot, content in self._slots.items() if content.get("stale")}

    def draw(self, picture: Picture, fresh: set[str] | None) -> None:
        """Send what changed; `fresh` are the slots of the present settings, None keeps as is."""
        changed: dict[str, Any] = {}
        images: dict[str, bytes] = {}
        for slot, item in picture.contents.items():
            encoded, own = self._encoded(slot, item)
            images |= own
            before = self._slots.get(slot, {})
            stale = before.get("stale", False) if fresh is None else slot not in fresh
            shown = {**encoded, "stale": stale}
            if shown != before:
                changed[slot] = difference(before, shown)
                self._slots[slot] = shown
        cards = wire.encode(picture.claims, {})
        if cards != self._slots.get("claim", {}).get("cards", []):
            changed["claim"] = self._slots["claim"] = {"kind": "claim", "cards": cards}
        self._images = images
        self.send_images([name for name in images if name not in self._sent])
        if changed:
            self._send({"type": "picture", "slots": changed})

    def _encoded(self, slot: str, item: Content) -> tuple[dict[str, Any], dict[str, bytes]]:
        """A content and its images; the same object is not encoded twice."""
        if slot not in self._last or self._last[slot][0] is not item:
            shown = self._sides.hidden(slot, item) if isinstance(item, PairsContent) else item
            images: dict[str, bytes] = {}
            self._last[slot] = (item, wire.encode(shown, images), images)
        return self._last[slot][1], self._last[slot][2]

    def whole(self) -> dict[str, Any]:
        """Everything as one value: the slots, and the bytes of their images by name."""
        return {"slots": self._slots, "images": self._images}

    def send_all(self, known: set[str]) -> None:
        """Everything, for a browser that (re)opened the panel and has the images `known`."""
        self.send_images([name for name in self._images if name not in known])
        self._send({"type": "picture", "slots": self._slots})

    def send_images(self, names: list[str]) -> None:
        """Images of the present picture, as binary buffers."""
        names = [name for name in names if name in self._images]
        if names:
            self._sent.update(names)
            self._send({"type": "images", "names": names}, [self._images[n] for n in names])


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """`now` without what the browser has from `before`, named under "kept".

    A content's fields are left out as [field], and the parts of its `spec` and `rows` as
    [field, part]: a move changes few of a chart's row sets, and most bytes are rows.
    """
    if before.get("kind") != now["kind"]:
        return dict(now)
    sent: dict[str, Any] = {}
    kept: list[list[str]] = []
    for field, value in now.items():
        had = before.get(field)
        if value == had:
            kept.append([field])
        elif field in PARTED and isinstance(value, dict) and isinstance(had, dict):
            same = [part for part in value if part in had and value[part] == had[part]]
            kept += [[field, part] for part in same]
            sent[field] = {part: value[part] for part in value if part not in same}
        else:
            sent[field] = value
    return {**sent, "kept": kept}
