"""What leaves the panel as a file, written in a thread of its own; and what finished, kept."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from workbench.panels.picture import Picture
from workbench.panels.settings import cache_key
from workbench.panels.view import Values, View
from workbench.panels.worker import Worker
from workbench.progress import Report


class Clerk:
    """Writes exports one after the other, beside the running measurement, for the browser."""

    def __init__(self, view: View, send: Callable[..., None]):
        self._view = view
        self._send = send
        self._waiting: deque[tuple[str, Values, Picture]] = deque()
        self.worker = Worker(lambda event, tag: None, "panel-export")

    def write(self, kind: str, values: Values, picture: Picture) -> None:
        """Queue one export; the file, or a line saying what went wrong, follows."""
        self._waiting.append((kind, values, picture))
        # The newest job replaces the one before it, which has sent what it began: the queue stays.
        self.worker.submit(self._all)

    def _all(self, _: Report) -> Iterator[str]:
        while self._waiting:
            kind, values, picture = self._waiting.popleft()
            try:
                name, data = self._view.export(kind, values, picture)
            except Exception as error:  # whatever a view raises belongs on the screen
                self._send({"type": "note", "level": "error", "text": f"Export: {error}"})
            else:
                self._send({"type": "file", "name": name}, [data])
            yield kind


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
