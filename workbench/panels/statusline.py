"""The status line: a state, its words, its details and the one action beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.panels.picture import EmptyContent, Picture
from workbench.panels.worker import Failed, Progress, Stopped

Status = dict[str, Any]


def status(
    kind: str,
    text: str,
    details: Sequence[str] = (),
    device: str = "",
    action: tuple[str, str] | None = None,
    **more: Any,
) -> Status:
    """One state as the browser reads it; `action` is (id, label)."""
    return {
        "kind": kind,
        "text": text,
        "details": [part for part in details if part],
        "device": device,
        "action": {"id": action[0], "label": action[1]} if action else None,
        **more,
    }


def recorded(picture: Picture, verb: str) -> Status:
    """A result that shipped with the package."""
    when = f", measured {picture.when}" if picture.when else ""
    return status(
        "idle",
        f"Shipped result{when}",
        picture.details,
        picture.device,
        ("run", f"{verb} here"),
    )


def unforeseen(shown: Picture, automatic: bool, verb: str) -> Status:
    """There is no picture of these settings: an older one stands, or none."""
    if automatic:
        return awaited(shown.device)
    return stale(verb, shown.device) if shown.contents else empty(verb)


def awaited(device: str) -> Status:
    """The measurement follows by itself."""
    return preparing("Measuring in a moment", device)


def preparing(words: str, device: str) -> Status:
    """The worker is about to begin, begins, or works out what the view's answer needs."""
    return status("running", words, (), device, ("stop", "Stop"))


def foreseen(picture: Picture, automatic: bool, verb: str) -> Status:
    """Shipped, or hollow marks; the measurement follows by itself or on request."""
    if picture.basis == "recorded":
        return recorded(picture, verb)
    shown = picture.contents.values()
    if shown and all(isinstance(content, EmptyContent) for content in shown):
        return awaited(picture.device) if automatic else empty(verb)
    text = "Predicted. Measuring in a moment" if automatic else "Predicted, not measured"
    action = ("stop", "Stop") if automatic else ("run", verb)
    return status("predicted", text, picture.details, picture.device, action)


def stale(verb: str, device: str = "") -> Status:
    return status("stale", "Settings changed since this picture", (), device, ("run", verb))


def empty(verb: str) -> Status:
    """Nothing is known before the first run."""
    return status("empty", "Nothing to show yet", action=("run", verb))


def done(picture: Picture, seconds: float, verb: str) -> Status:
    again = ("run", f"{verb} again")
    return status("done", f"Done in {duration(seconds)}", picture.details, picture.device, again)


def cached(picture: Picture, when: str, verb: str) -> Status:
    text = f"From an earlier run, measured {when}"
    return status("cached", text, picture.details, picture.device, ("run", f"{verb} again"))


def running(event: Progress, device: str = "") -> Status:
    """Share, time left, Stop; "Compiling" notes become the compiling state."""
    stop = ("stop", "Stop")
    if event.note.lower().startswith("compiling"):
        return status("compiling", event.note, (), device, stop)
    share = event.done / event.total if event.total > 0 else 0.0
    parts = [f"{100 * share:.0f} %"]
    if event.done > 0 and event.seconds > 0.5:
        left = event.seconds * (event.total - event.done) / event.done
        parts = [f"{100 * share:.0f} %, {_about(left)} left"]
    text = event.note or f"Running {event.done} of {event.total}"
    return status("running", text, parts, device, stop, share=round(share, 4))


def stopped(event: Stopped, shown: bool, verb: str, device: str = "") -> Status:
    text = f"Stopped at {event.done} of {event.total}" if event.total else "Stopped"
    if shown:
        text += ". What was done is shown"
    return status("stopped", text, (), device, ("run", verb))


def failed(event: Failed, verb: str, device: str = "") -> Status:
    """One line; the traceback unfolds below it."""
    line = str(event.error).strip().splitlines()
    name = type(event.error).__name__
    known = isinstance(event.error, ValueError | RuntimeError | MemoryError) and line
    text = line[0] if known and line else f"{name}: {line[0]}" if line else name
    return status("error", text, (), device, ("run", f"{verb} again"), trace=event.trace)


def _about(seconds: float) -> str:
    """An estimate, so in round words."""
    if seconds < 1:
        return "under 1 s"
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {duration(seconds)}"


def duration(seconds: float) -> str:
    """Three digits at most: 85 ms, 1.58 s, 50.6 s, 5 min, 2 h 10 min."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
