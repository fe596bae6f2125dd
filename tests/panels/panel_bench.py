"""A panel on the bench: moved and spoken to without a browser, its messages kept."""

import json
import time
from collections.abc import Callable
from typing import Any

from workbench.panels.panel import Panel


class Bench:
    """A panel with its outgoing messages kept."""

    def __init__(self, view: Any, **more: Any):
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []
        more.setdefault("quiet", 0.02)
        self.panel = Panel(view, **more)
        self.known: dict[str, Any] = dict(self.panel.opening["slots"])
        self.raw: list[dict[str, Any]] = []
        self.panel.send = self.receive

    def receive(self, message: dict[str, Any], buffers: Any = None) -> None:
        """As a browser does: a slot's kept parts come from what was known of it."""
        self.raw.append(message)
        if message["type"] == "picture":
            whole = {slot: self.whole(slot, sent) for slot, sent in message["slots"].items()}
            self.known |= whole
            message = {**message, "slots": whole}
        self.sent.append((message, list(buffers or [])))

    def whole(self, slot: str, sent: dict[str, Any]) -> dict[str, Any]:
        content = {name: value for name, value in sent.items() if name != "kept"}
        for field, *part in sent.get("kept", []):
            had = self.known[slot][field]
            if part:
                content[field] = {**content[field], part[0]: had[part[0]]}
            else:
                content[field] = had
        return content

    def say(self, what: str, **more: Any) -> None:
        self.panel._message(self.panel, {"type": what, **more}, [])

    def move(self, group: str, name: str, value: Any) -> None:
        state = json.loads(json.dumps(self.panel.state))
        state[group][name] = value
        self.panel.state = state

    def slots(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for message, _ in self.sent:
            if message["type"] == "picture":
                found.update(message["slots"])
        return found

    def until(self, done: Callable[[], bool], seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.panel.status
            time.sleep(0.002)

    def kind(self) -> str:
        return str(self.panel.status["kind"])
