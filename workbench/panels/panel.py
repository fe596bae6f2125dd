"""Panel: the live widget of one view. Callbacks only post requests; one worker answers them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import anywidget
import traitlets

from workbench.panels import assets, blind, fallback, settings, statusline, vega, wire
from workbench.panels.history import History
from workbench.panels.picture import PairsContent, Picture
from workbench.panels.settings import Plain
from workbench.panels.stage import Stage
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
)
from workbench.study.progress import Report

LETTERS = "ABCD"
QUIET = 0.25
"""Seconds after the last move before a run starts."""
KEEP = 64
"""Finished pictures kept for settings that come back."""


class Panel(anywidget.AnyWidget):
    """A form, a picture and a worker for one view.

    `Panel(view)` in the last line of a cell shows it; `panel.settings` is what the form holds,
    and `Panel(view, settings=...)` restores it (a dict, or the text that "Copy settings" gave).
    """

    schema = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    problems: traitlets.List[Any] = traitlets.List().tag(sync=True)
    hints = traitlets.Dict().tag(sync=True)
    status = traitlets.Dict().tag(sync=True)
    pins: traitlets.List[Any] = traitlets.List().tag(sync=True)
    history = traitlets.Dict().tag(sync=True)
    preset = traitlets.Int(-1).tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)

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
        self._clerk = Worker(self._filed, "panel-export")
        self._cache: OrderedDict[str, tuple[Picture, str]] = OrderedDict()
        self._pinned: dict[str, Values] = {}
        self._sides = blind.Sides()
        self._stage = Stage(lambda *message: self.send(*message), self._sides)
        self._raw: Picture = Picture()
        self._partial = False
        self._last_note = 0.0
        first = self._start_state(settings)
        self._history = History(first)
        self._presets = self._preset_values()
        values, problems = _parse(view, first)
        if values is None:
            raise ValueError(problems[0].message)
        self._values: Values = values
        super().__init__(schema=wire.schema(view), state=first, **traits)
        self.on_msg(self._message)
        self.observe(self._moved, "state")
        self._settle(first, start=False)

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
        """Stop the running job at its next report."""
        self._worker.stop()
        with self._lock:
            if self.status.get("kind") == "predicted":
                self._show_status(statusline.stopped(Stopped(0, 0, 0.0), False, self.view.verb))

    def wait(self, timeout: float = 60.0) -> bool:
        """Block until nothing runs; for scripts and tests."""
        return self._worker.wait(timeout) and self._clerk.wait(timeout)

    def close(self) -> None:
        """End the threads and the widget."""
        for name in ("_worker", "_clerk"):  # absent when a bad view ended the constructor
            if name in self.__dict__:
                self.__dict__[name].close()
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": self._static()}, metadata

    def _static(self) -> str:
        view = self.view
        svg = view.svg()
        return fallback.page(
            view.title, view.study_line, svg, view.groups, self.settings, self._raw.claim
        )

    # -- settings ---------------------------------------------------------------------------

    def _start_state(self, given: Mapping[str, Mapping[str, Any]] | str | None) -> Plain:
        base = settings.merged(settings.defaults(self.view.groups), self.view.presets[0].values)
        if given is None:
            return base
        over = settings.from_text(given) if isinstance(given, str) else given
        return settings.merged(base, over)

    def _preset_values(self) -> list[Values]:
        base = settings.defaults(self.view.groups)
        found = []
        for preset in self.view.presets:
            values, problems = _parse(self.view, settings.merged(base, preset.values))
            if values is None:
                raise ValueError(f"Preset {preset.label!r}: {problems[0].message}")
            found.append(values)
        return found

    def _moved(self, change: Any) -> None:
        with self._lock:
            state = change["new"]
            self._history.record(state)
            self._settle(state, start=True)

    def _settle(self, state: Mapping[str, Mapping[str, Any]], start: bool) -> None:
        """Check the settings and show the best picture there is at once."""
        values, problems = _parse(self.view, state)
        self._show_history()
        if values is None:
            self._refuse(problems)
            return
        self._values = values
        self._set("hints", wire.hints(self.view.hints(values)))
        matches = [i for i, preset in enumerate(self._presets) if preset == values]
        self._set("preset", matches[0] if matches else -1)
        problems = list(self.view.check(values))
        self._show_problems(problems)
        if any(problem.level == "error" for problem in problems):
            self._refuse(problems)
            return
        key = settings.cache_key(values)
        if key in self._cache:
            self._worker.drop()
            self._cache.move_to_end(key)
            picture, when = self._cache[key]
            self._show(picture)
            self._show_status(statusline.cached(picture, when, self.view.verb))
            return
        self._foresee(values, start)

    def _foresee(self, values: Values, start: bool) -> None:
        verb = self.view.verb
        try:
            picture = self.view.predict(values)
        except Exception as error:  # a view's fault must not kill the callback
            self._worker.drop()
            self._fail(Failed(error, _trace(error), 0.0))
            return
        if picture is None:
            self._mark_stale()
            self._show_status(statusline.stale(verb, self._raw.device))
        elif picture.basis == "recorded":
            self._show(picture)
            self._show_status(statusline.recorded(picture, verb))
            self._worker.drop()
            return
        else:
            self._show(picture)
            self._show_status(statusline.predicted(picture, self.view.automatic and start, verb))
        if start and self.view.automatic:
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
                    text = statusline.status("running", "Starting", (), device, ("stop", "Stop"))
                    self._show_status(text)
                case Progress():
                    self._show_progress(event, device)
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
        verb = self.view.verb
        if picture is None:
            self._show_status(statusline.done(self._raw, seconds, verb))
            return
        when = time.strftime("%d %B %H:%M").lstrip("0")
        key = settings.cache_key(values)
        self._cache[key] = (picture, when)
        while len(self._cache) > KEEP:
            self._cache.popitem(last=False)
        self._show_status(statusline.done(picture, seconds, verb))

    def _fail(self, event: Failed) -> None:
        self._mark_stale()
        self._show_status(statusline.failed(event, self.view.verb, self._raw.device))

    # -- showing ----------------------------------------------------------------------------

    def _set(self, name: str, value: Any) -> None:
        if getattr(self, name) != value:
            setattr(self, name, value)

    def _show_status(self, status: statusline.Status) -> None:
        self._set("status", status)

    def _show_history(self) -> None:
        history = {"undo": self._history.can_undo, "redo": self._history.can_redo}
        self._set("history", history)

    def _show_problems(self, problems: list[Problem]) -> None:
        groups = [group.id for group in self.view.groups]
        self._set("problems", wire.problems(problems, groups))

    def _show(self, picture: Picture) -> None:
        """Send the slots that changed; a slot the picture leaves out goes stale."""
        contents = {**self._raw.contents, **picture.contents}
        fresh = set(picture.contents)
        self._raw = Picture(
            contents,
            picture.claim or self._raw.claim,
            picture.basis,
            picture.details,
            picture.when,
            picture.device or self._raw.device,
        )
        self._draw(fresh)

    def _mark_stale(self) -> None:
        self._draw(set())

    def _draw(self, fresh: set[str] | None) -> None:
        marked = self.view.annotate(self._raw, self._values, self._pinned)
        self._stage.draw(marked, fresh)

    # -- messages from the browser ----------------------------------------------------------

    def _message(self, _: Any, message: Any, buffers: Any) -> None:
        if vega.answer(self, message, buffers):
            return
        handler = getattr(self, f"_on_{message.get('type', '')}", None)
        if handler is not None:
            with self._lock:
                handler(message)

    def _on_hello(self, message: dict[str, Any]) -> None:
        """A browser (re)opened the panel: everything, pictures as far as it lacks them."""
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
        free = [letter for letter in LETTERS if letter not in self._pinned]
        if not free or self._has_errors() or self._values in self._pinned.values():
            return
        self._pinned = dict(sorted({**self._pinned, free[0]: self._values}.items()))
        self._show_pins()

    def _on_unpin(self, message: dict[str, Any]) -> None:
        self._pinned = {k: v for k, v in self._pinned.items() if k != message["letter"]}
        self._show_pins()

    def _on_pinned(self, message: dict[str, Any]) -> None:
        values = self._pinned.get(message["letter"])
        if values is not None:
            self._set("state", settings.plain(values))

    def _show_pins(self) -> None:
        self._set("pins", [self._pin(letter, values) for letter, values in self._pinned.items()])
        self._draw(None)

    def _pin(self, letter: str, values: Values) -> dict[str, Any]:
        active = self.view.hints(values).active
        marks = [group["mark"] for group in self.schema["groups"] if group["id"] in active]
        label = self.view.pin_label(values)
        return {
            "letter": letter,
            "label": label or settings.pin_label(self.view.groups, values, active),
            "mark": next((mark for mark in marks if mark is not None), 0),
        }

    def _on_load(self, message: dict[str, Any]) -> None:
        """A clicked point, thumbnail, row or action."""
        key = str(message["key"])
        if message.get("kind") == "images":
            chosen = self.view.choose(key, self._raw)
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
        values, picture, kind = self._values, self._raw, str(message["kind"])

        def job(_: Report) -> Iterator[tuple[str, bytes]]:
            yield self.view.export(kind, values, picture)

        self._clerk.submit(job, kind)

    def _filed(self, event: Event, kind: str) -> None:
        if isinstance(event, Done):
            name, data = event.result
            self.send({"type": "file", "name": name}, [data])
        elif isinstance(event, Failed):
            self.send({"type": "note", "level": "error", "text": f"Export: {event.error}"})

    def _on_answer(self, message: dict[str, Any]) -> None:
        """One blind choice: left, right or same; or "again"."""
        slot, side = str(message["slot"]), str(message["side"])
        content = self._raw.contents.get(slot)
        if not isinstance(content, PairsContent):
            return
        given = list(self.answers.get(slot, {}).get("sides", []))
        given = [] if side == "again" else [*given, side][: len(content.pairs)]
        verdict = ""
        if len(given) == len(content.pairs):
            answers = self._sides.told(slot, given)
            verdict = self.view.answered(slot, answers) or blind.sentence(answers, content.names)
        self._set("answers", {**self.answers, slot: {"sides": given, "verdict": verdict}})


def _parse(view: View, state: Mapping[str, Mapping[str, Any]]) -> Any:
    return settings.parse(view.groups, state)


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
