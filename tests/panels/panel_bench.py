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
        self.panel.send = lambda m, b=None: self.sent.append((m, list(b or [])))

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
