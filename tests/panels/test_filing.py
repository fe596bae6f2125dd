"""Exports: each one that was asked for arrives, in order, and one that fails stops no other."""

import threading
from typing import Any, cast

from workbench.panels.filing import Clerk
from workbench.panels.picture import Picture
from workbench.panels.view import Values, View


class Slow:
    """A view whose exports wait until they may go on."""

    def __init__(self) -> None:
        self.began, self.go = threading.Event(), threading.Event()

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        self.began.set()
        assert self.go.wait(10)
        if kind == "bad":
            raise ValueError("no such kind")
        return f"figure.{kind}", kind.encode()


def test_exports_asked_for_meanwhile_are_written_in_turn() -> None:
    view = Slow()
    sent: list[Any] = []
    clerk = Clerk(cast(View, view), lambda *message: sent.append(message))
    picture = Picture()
    clerk.write("svg", {}, picture)
    assert view.began.wait(10)
    for kind in ("csv", "bad", "png"):
        clerk.write(kind, {}, picture)
    view.go.set()
    assert clerk.worker.wait(10)
    said = [message[0].get("name", message[0].get("text")) for message in sent]
    assert said == ["figure.svg", "figure.csv", "Export: no such kind", "figure.png"]
    assert sent[-1][1] == [b"png"]
    clerk.worker.close()
