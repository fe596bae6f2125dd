"""Panel: the live widget of one view. Callbacks only post requests; one worker answers them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from workbench.panels import assets, blind, fallback, settings, statusline, vega, wire
from workbench.panels.filing import Clerk, Finished
from workbench.panels.history import History
from workbench.panels.painting import Stroke
from workbench.panels.picture import Picture
from workbench.panels.pins import Pins
from workbench.panels.preparing import Ready, preparation
from workbench.panels.settings import Plain, accepted, start
from workbench.panels.stage import Stage
from workbench.panels.synced import Synced
from workbench.panels.view import Problem, Values, View
from workbench.panels.worker import (
    Done,
    Event,
    Failed,
    Part,
    Progress,
    Started,
    Stopped,
    Worker,
    failure,
)
from workbench.progress import Report

QUIET = 0.25
"""Seconds after the last move before a run starts."""


class Panel(Synced):
    """A form, a picture and a worker for one view.

    `Panel(view)` in the last line of a cell shows it; `panel.settings` is what the form holds,
    and `Panel(view, settings=...)` restores it (a dict, or the text that "Copy settings" gave).
    """

    def __init__(
        self,
        view: View,
        settings: Mapping[str, Mapping[str, Any]] | str | None = None,
        *,
        quiet: float = QUIET,
        **traits: Any,
    ):
        if len(view.presets) != 3:
            raise ValueError(
                f"A view has exactly three presets; {view.title} has {len(view.presets)}"
            )
        self._esm = assets.module()
        self._css = assets.style()
        self.view = view
        self._lock = threading.RLock()
        self._quiet = quiet
        self._worker = Worker(self._heard, "panel-run")
        self._clerk = Clerk(view, lambda *message: self.send(*message))
        self._finished = Finished()
        self._pins = Pins(view)
        self._sides = blind.Sides()
        self._stage = Stage(lambda *message: self.send(*message), self._sides)
        self._raw: Picture = Picture()
        self._partial = False
        self._last_note = 0.0
        first = start(view, settings)
        self._history = History(first)
        self._presets = [accepted(view, start(view, preset.values)) for preset in view.presets]
        self._values: Values = accepted(view, first)
        super().__init__(schema=wire.schema(view), state=first, **traits)
        self.on_msg(self._message)
        self.observe(self._moved, "state")
        self._settle(first, start=False)
        self.opening = self._stage.whole()

    # -- what a notebook uses ---------------------------------------------------------------

    @property
    def settings(self) -> Plain:
        """The settings last accepted, as plain values."""
        return settings.plain(self._values)

    @property
    def values(self) -> Values:
        """The settings last accepted, one validated model per group."""
        return self._values

    @property
    def picture(self) -> Picture:
        """What is on the screen, without pins."""
        return self._raw

    def load(self, values: Mapping[str, Mapping[str, Any]] | str) -> None:
        """Set knobs from plain values or from copied settings; the rest stays."""
        over = settings.from_text(values) if isinstance(values, str) else values
        self.state = settings.merged(self.state, over)

    def run(self) -> None:
        """Start the run of the present settings now."""
        with self._lock:
            if not self._has_errors():
                self._start(delay=0.0)

    def stop(self) -> None:
        """Stop the running job at its next report, one that waits at once."""
        self._worker.stop()

    def wait(self, timeout: float = 60.0) -> bool:
        """Block until nothing runs; for scripts and tests."""
        return self._worker.wait(timeout) and self._clerk.worker.wait(timeout)

    def close(self) -> None:
        """End the threads and the widget."""
        if "_worker" in self.__dict__:  # absent when a bad view ended the constructor
            self._worker.close()
            self._clerk.worker.close()
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        page = fallback.page(self.view, self._raw, self.settings)
        return {**data, "text/html": page}, metadata

    # -- settings ---------------------------------------------------------------------------

    def _moved(self, change: Any) -> None:
        # What the answer says beside the picture is held back and goes out as one message.
        with self._lock, self.hold_sync():
            state = change["new"]
            self._history.record(state)
            self._settle(state, start=True)

    def _settle(self, state: Mapping[str, Mapping[str, Any]], start: bool) -> None:
        """Check the settings and show the best picture there is at once."""
        values, problems = settings.parse(self.view.groups, state)
        self._show_history()
        if values is None:
            self._refuse(problems)
            return
        self._values = values
        try:
            self._answer(values, start)
        except Exception as error:  # a view's fault must not kill the callback
            self._worker.drop()
            self._fail(failure(error))

    def _answer(self, values: Values, start: bool) -> None:
        self._set("hints", wire.hints(self.view.hints(values)))
        self._set("preset", next((i for i, p in enumerate(self._presets) if p == values), -1))
        problems = list(self.view.check(values))
        self._show_problems(problems)
        if self._has_errors():
            self._refuse(problems)
            return
        if finished := self._finished.get(values):
            self._worker.drop()
            picture, when = finished
            self._show(picture)
            self._show_status(statusline.cached(picture, when, self.view.verb))
            return
        self._foresee(values, start)

    def _foresee(self, values: Values, start: bool) -> None:
        verb, words = self.view.verb, self.view.unready(values) if start else ""
        if words:
            self._partial = False
            self._draw(set())
            self._show_status(statusline.preparing(words, self._raw.device))
            self._worker.submit(preparation(self.view, values), values, self._quiet)
            return
        picture = self.view.predict(values)
        follows = start and self.view.automatic
        if picture is None:
            self._draw(set())
            self._show_status(statusline.unforeseen(self._raw, follows, verb))
        else:
            follows = follows and picture.basis != "recorded"
            self._show(picture)
            self._show_status(statusline.foreseen(picture, follows, verb))
        if follows:
            self._start(self._quiet)
        else:
            self._worker.drop()

    def _refuse(self, problems: list[Problem]) -> None:
        self._worker.drop()
        self._show_problems(problems)
        errors = [p for p in problems if p.level == "error"]
        text = errors[0].message if errors else "A setting is not valid"
        self._show_status(statusline.status("invalid", text, (), self._raw.device))

    def _has_errors(self) -> bool:
        return any(problem["level"] == "error" for problem in self.problems)

    # -- work -------------------------------------------------------------------------------

    def _start(self, delay: float) -> None:
        values = self._values

        def job(report: Report) -> Iterator[Picture]:
            return self.view.run(values, report)

        self._partial = False
        self._worker.submit(job, values, delay)

    def _heard(self, event: Event, values: Values) -> None:
        """The worker's events, in the worker's thread."""
        with self._lock:
            if values != self._values:
                return
            verb, device = self.view.verb, self._raw.device
            match event:
                case Started():
                    self._show_status(statusline.preparing("Starting", device))
                case Progress():
                    self._show_progress(event, device)
                case Part(Ready()):
                    self._settle(self.state, start=True)
                case Part(picture):
                    self._partial = True
                    self._show(picture)
                case Done(picture, seconds):
                    self._finish(values, picture, seconds)
                case Stopped():
                    self._show_status(statusline.stopped(event, self._partial, verb, device))
                case Failed():
                    self._fail(event)

    def _show_progress(self, event: Progress, device: str) -> None:
        if isinstance(event.preview, Picture):
            self._partial = True
            self._show(event.preview)
        now = time.monotonic()
        if now - self._last_note < 0.1 and event.done < event.total:
            return
        self._last_note = now
        self._show_status(statusline.running(event, device))

    def _finish(self, values: Values, picture: Picture | None, seconds: float) -> None:
        if picture is not None:
            self._finished.add(values, picture)
        self._show_status(statusline.done(picture or self._raw, seconds, self.view.verb))

    def _fail(self, event: Failed) -> None:
        self._draw(set())
        self._show_status(statusline.failed(event, self.view.verb, self._raw.device))

    # -- showing ----------------------------------------------------------------------------

    def _set(self, name: str, value: Any) -> None:
        if getattr(self, name) != value:
            setattr(self, name, value)

    def _show_status(self, status: statusline.Status) -> None:
        self._set("status", status)

    def _show_history(self) -> None:
        self._set("history", {"undo": self._history.can_undo, "redo": self._history.can_redo})

    def _show_problems(self, problems: list[Problem]) -> None:
        groups = [group.id for group in self.view.groups]
        self._set("problems", wire.problems(problems, groups))

    def _show(self, picture: Picture) -> None:
        """Send the slots that changed; a slot the picture leaves out goes stale."""
        contents = {**self._raw.contents, **picture.contents}
        self._set("answers", blind.kept(self.answers, self._raw.contents, picture.contents))
        fresh = set(picture.contents)
        device = picture.device or self._raw.device
        self._raw = replace(picture, contents=contents, device=device)
        self._draw(fresh)

    def _draw(self, fresh: set[str] | None) -> None:
        self._set("opening", {})
        self._stage.draw(self._marked(), fresh)

    def _marked(self) -> Picture:
        """What is on the screen, pins included."""
        return self.view.annotate(self._raw, self._values, self._pins.values)

    # -- messages from the browser ----------------------------------------------------------

    def _message(self, _: Any, message: Any, buffers: Any) -> None:
        if vega.answer(self, message, buffers):
            return
        handler = getattr(self, f"_on_{message.get('type', '')}", None)
        if handler is not None:
            with self._lock:
                handler(message)

    def _on_hello(self, message: dict[str, Any]) -> None:
        """A browser (re)opened the panel: everything it lacks."""
        if not (message.get("opened") and self.opening):
            self._stage.send_all(set(message.get("images", [])))

    def _on_need(self, message: dict[str, Any]) -> None:
        self._stage.send_images([str(name) for name in message.get("names", [])])

    def _on_run(self, _: dict[str, Any]) -> None:
        self.run()

    def _on_stop(self, _: dict[str, Any]) -> None:
        self.stop()

    def _on_undo(self, _: dict[str, Any]) -> None:
        self._jump(self._history.undo())

    def _on_redo(self, _: dict[str, Any]) -> None:
        self._jump(self._history.redo())

    def _jump(self, state: Plain) -> None:
        self.unobserve(self._moved, "state")
        try:
            self._set("state", state)
        finally:
            self.observe(self._moved, "state")
        self._settle(state, start=True)

    def _on_preset(self, message: dict[str, Any]) -> None:
        index = int(message["index"])
        self._set("state", settings.plain(self._presets[index]))

    def _on_pin(self, _: dict[str, Any]) -> None:
        if not self._has_errors():
            self._pins.add(self._values)
            self._show_pins()

    def _on_unpin(self, message: dict[str, Any]) -> None:
        self._pins.remove(message["letter"])
        self._show_pins()

    def _on_pinned(self, message: dict[str, Any]) -> None:
        values = self._pins.values.get(message["letter"])
        if values is not None:
            self._set("state", settings.plain(values))

    def _show_pins(self) -> None:
        self._set("pins", self._pins.chips())
        self._draw(None)

    def _on_load(self, message: dict[str, Any]) -> None:
        """A clicked point, thumbnail, row or action."""
        key = str(message["key"])
        if message.get("kind") == "images":
            chosen = self.view.choose(key, self._values, self._raw)
            if chosen is not None:
                self._raw = chosen
                self._draw(set(chosen.contents) - self._stage.stale)
                return
        over = self.view.load(key)
        if over is not None:
            self.load(over)

    def _on_code(self, _: dict[str, Any]) -> None:
        self.send({"type": "code", "text": self.view.code(self._values)})

    def _on_settings(self, _: dict[str, Any]) -> None:
        self.send({"type": "settings", "text": settings.to_text(self.settings)})

    def _on_export(self, message: dict[str, Any]) -> None:
        self._clerk.write(str(message["kind"]), self._values, self._marked())

    def _on_answer(self, message: dict[str, Any]) -> None:
        """One blind choice: left, right or same; or "again"."""
        answered = blind.answered(self._sides, self._raw.contents, self.answers, message)
        self._set("answers", answered)

    def _on_paint(self, message: dict[str, Any]) -> None:
        self._history.pause(bool(message.get("begins", True)))
        self.load(self.view.paint(Stroke.of(message), self._values) or {})

    def _on_act(self, message: dict[str, Any]) -> None:
        done = self.view.act(str(message["id"]), self._values)
        self.send({"type": "acted", "text": done.copied, "said": done.said})
