"""What leaves the panel as a file, written in a thread of its own; and what finished, kept."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from workbench.panels.picture import Picture
from workbench.panels.settings import cache_key
from workbench.panels.view import Values, View
from workbench.panels.worker import Done, Event, Failed, Worker
from workbench.progress import Report


class Clerk:
    """Writes exports beside the running measurement and sends them to the browser."""

    def __init__(self, view: View, send: Callable[..., None]):
        self._view = view
        self._send = send
        self.worker = Worker(self._heard, "panel-export")

    def write(self, kind: str, values: Values, picture: Picture) -> None:
        """Start one export; the file, or a line saying what went wrong, follows."""

        def job(_: Report) -> Iterator[tuple[str, bytes]]:
            yield self._view.export(kind, values, picture)

        self.worker.submit(job, kind)

    def _heard(self, event: Event, kind: str) -> None:
        if isinstance(event, Done):
            name, data = event.result
            self._send({"type": "file", "name": name}, [data])
        elif isinstance(event, Failed):
            self._send({"type": "note", "level": "error", "text": f"Export: {event.error}"})


class Finished:
    """The last finished pictures by their settings, with the time they were measured."""

    def __init__(self, keep: int = 64):
        self._keep = keep
        self._pictures: OrderedDict[str, tuple[Picture, str]] = OrderedDict()

    def add(self, values: Values, picture: Picture) -> None:
        """Keep a picture; the one longest unused goes."""
        when = time.strftime("%d %B %H:%M").lstrip("0")
        self._pictures[cache_key(values)] = (picture, when)
        while len(self._pictures) > self._keep:
            self._pictures.popitem(last=False)

    def get(self, values: Values) -> tuple[Picture, str] | None:
        """The picture of these settings and when it was measured."""
        key = cache_key(values)
        if key in self._pictures:
            self._pictures.move_to_end(key)
        return self._pictures.get(key)
