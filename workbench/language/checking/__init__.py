"""Does a mixer do what a mixer must? Tests of one's own, and of those that are here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from workbench.language.checking import agreement, numbers, resources
from workbench.language.checking.report import Check, Report
from workbench.language.checking.subject import Subject
from workbench.language.mixing import MixerConfig
from workbench.progress import Report as Progress
from workbench.progress import silent

__all__ = ["Check", "Report", "check"]

NAMES = (
    "causality",
    "step = parallel",
    "any length",
    "packed texts",
    "gradients",
    "bfloat16",
    "strong gates",
    "state",
)


def check(
    mixer: Any,
    *,
    width: int = 64,
    seed: int = 0,
    timed: bool = True,
    report: Progress = silent,
) -> Report:
    """Tests a token mixer, and says what is wrong in words.

    A mixer fails the check that names its fault; checks whose meaning rests on another that fails
    are not judged.

    Args:
        mixer: made by `workbench.language.mixer`, a class it can make one of, or any other
            `MixerConfig`.
        width: of the layer.
        seed: of its weights and of the texts.
        timed: whether time against length is measured, too.
        report: progress.

    Raises:
        TypeError: no mixer.
        ValueError: a width this mixer cannot have.
    """
    config = _config(mixer)
    began = time.perf_counter()
    subject = Subject(config, width, seed)
    found: dict[str, Check] = {}
    for index, name in enumerate(NAMES):
        report(index, len(NAMES) + timed, name)
        found[name] = _judge(name, subject, found)
    times: tuple[tuple[int, float], ...] = ()
    if timed:
        report(len(NAMES), len(NAMES) + 1, "speed")
        found["speed"], times = _timed(subject)
    report(len(found), len(found), "done")
    name = getattr(config, "name", config.kind)
    return Report(name, width, tuple(found.values()), times, time.perf_counter() - began)


def _config(mixer: Any) -> MixerConfig:
    if isinstance(mixer, MixerConfig):
        return mixer
    if isinstance(mixer, type) and issubclass(mixer, MixerConfig):
        return mixer()
    if isinstance(mixer, type):
        from workbench.language.own_mixer import from_class

        return from_class(mixer, {})
    raise TypeError(
        f"check: {mixer!r} is no mixer; give what `workbench.language.mixer` made, its class, or a "
        "configuration of one that is here"
    )


# What must hold for a check to say anything.
_NEEDS = {
    "step = parallel": ("causality",),
    "any length": ("causality",),
    "packed texts": ("causality", "step = parallel", "any length"),
}


def _judge(name: str, subject: Subject, found: dict[str, Check]) -> Check:
    for needed in _NEEDS.get(name, ()):
        if found[needed].status != "pass":
            return Check(name, "not judged", "", f"needs {needed}")
    sound = "gradients" in found and "not finite" not in found["gradients"].figure
    checks: dict[str, Callable[[], Check]] = {
        "causality": lambda: agreement.causality(subject),
        "step = parallel": lambda: agreement.steps(subject),
        "any length": lambda: agreement.lengths(subject),
        "packed texts": lambda: agreement.segments(subject),
        "gradients": lambda: numbers.gradients(subject),
        "bfloat16": lambda: numbers.rounding(subject),
        "strong gates": lambda: numbers.extremes(subject, with_gradients=sound),
        "state": lambda: resources.state(subject),
    }
    try:
        return checks[name]()
    except Exception as problem:  # code of the user's own may raise anything
        return Check(name, "fail", "", f"{type(problem).__name__}: {problem}")


def _timed(subject: Subject) -> tuple[Check, tuple[tuple[int, float], ...]]:
    try:
        return resources.speed(subject)
    except Exception as problem:  # as above
        return Check("speed", "fail", "", f"{type(problem).__name__}: {problem}"), ()
