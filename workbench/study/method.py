"""Method: a way to make a subject cheaper, with its settings and its paper.

A method has up to four verbs, each trivial by default. A user's own method is one class in one
file or one notebook cell:

    class EverySecondStep(Method):
        name = "Every second step"

        def prepare(self, subject, seed=0, report=silent):
            return subject.with_plan(...)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from workbench.measure.cost import Cost
from workbench.progress import Report, part, silent
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.paper import Paper
from workbench.study.version import version_of

Kind = Literal["plan", "transform", "model"]


@runtime_checkable
class Subject(Protocol):
    """The immutable thing methods act on: a pipeline, a training task, a checkpoint."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """A hash of everything that changes what comes out."""
        ...


@dataclass(frozen=True)
class Problem:
    """Something about settings and subject that is said before anything runs.

    Args:
        level: "error" stops the run, "warn" is shown and the run goes on.
        field: the knob it is about; empty for the method as a whole.
    """

    level: Literal["error", "warn"]
    field: str
    message: str


class MethodError(ValueError):
    """A method cannot work on this subject with these settings."""


class Method:
    """A method with its knobs bound: `EncoderPropagation(key_steps="paper")`.

    Class attributes:
        name: how it is called everywhere; its colour and mark go by this name.
        kind: a "plan" executes the same weights differently, a "transform" maps weights to
            weights, a "model" is an architecture with its recipe.
        seeded: whether `prepare` depends on the seed (training does, a plan does not).
        version: raised by hand when the method's results change; a class that declares none
            itself is identified by its source.
        slot: the colour and mark reserved for it (0 is the baseline's), or None.
    """

    name: str = ""
    kind: Kind = "plan"
    paper: Paper | None = None
    seeded: bool = False
    version: str | None = None
    slot: int | None = None
    Knobs: type[BaseKnobs] = BaseKnobs

    def __init__(self, knobs: BaseKnobs | None = None, **values: Any):
        if not self.name:
            raise TypeError(f"{type(self).__name__} needs a class attribute `name`")
        if knobs is not None and not isinstance(knobs, self.Knobs):
            raise TypeError(f"{self.name} takes {self.Knobs.__qualname__}, not {type(knobs)}")
        self.knobs: Any = knobs.model_copy() if knobs is not None else self.Knobs.parse(values)

    def check(self, subject: Any) -> list[Problem]:
        """Limits that depend on the subject; empty when all is well."""
        return []

    def predict(self, subject: Any) -> Cost:
        """The modelled cost of one output, at once and without running anything."""
        return Cost(basis="modelled")

    def outline(self, subject: Any) -> Any:
        """The subject as `prepare` would leave it, weights aside; a later method predicts on it."""
        return subject

    def prepare(self, subject: Any, seed: int = 0, report: Report = silent) -> Any:
        """Train, distil, calibrate, prune or plan; returns the artifact, itself a subject."""
        return subject

    def apply(self, artifact: Any, inputs: Any) -> Any:
        """Run the artifact on inputs; outputs carry the seeds on their leading axis."""
        return artifact(inputs)

    def then(self, following: Method) -> Method:
        """This method first, `following` on what it leaves."""
        return Composed(self, following)

    @property
    def settings(self) -> dict[str, Any]:
        """The knobs as plain values."""
        return self.knobs.model_dump()

    @property
    def changed(self) -> dict[str, Any]:
        """The settings that are not at their defaults."""
        defaults = {name: field.default for name, field in self.Knobs.model_fields.items()}
        return {name: value for name, value in self.settings.items() if defaults[name] != value}

    def identity(self) -> dict[str, Any]:
        """What names this method's results: name, version (or source), settings."""
        return {
            # The class's own name: a comparison may add settings to the one on the screen.
            "method": type(self).name or self.name,
            "version": version_of(type(self), Method),
            "knobs": self.knobs.model_dump(mode="json"),
        }

    def require(self, subject: Any) -> None:
        """Raise `MethodError` with the first error `check` finds."""
        for problem in self.check(subject):
            if problem.level == "error":
                raise MethodError(f"{self.name}: {problem.message}")

    def code(self) -> str:
        """The call that makes this method."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.changed.items())
        return f"{type(self).__name__}({arguments})"

    def __repr__(self) -> str:
        return self.code()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Method) and self.identity() == other.identity()

    def __hash__(self) -> int:
        return hash(json.dumps(self.identity(), sort_keys=True))


class Composed(Method):
    """`first.then(second)`: second acts on what first leaves.

    A transform maps weights to weights, so what it leaves runs as what it was given did: unless
    the second method has an `apply` of its own, the first one's runs.
    """

    name = "composition"

    def __init__(self, first: Method, second: Method):
        self.first, self.second = first, second
        self.name = f"{first.name}, then {second.name}"
        self.kind = second.kind
        self.seeded = first.seeded or second.seeded
        self.knobs = first.knobs

    @property
    def links(self) -> tuple[Method, ...]:
        """The methods of the chain, first to last."""
        return tuple(
            link
            for method in (self.first, self.second)
            for link in (method.links if isinstance(method, Composed) else (method,))
        )

    def _each(self, values: str) -> dict[str, Any]:
        """`settings` or `changed` of all links; a name that comes twice is counted."""
        names = [link.name for link in self.links]
        found: dict[str, Any] = {}
        for place, link in enumerate(self.links):
            nth = names[: place + 1].count(link.name)
            label = link.name if nth == 1 else f"{link.name} {nth}"
            found |= {f"{label}.{name}": value for name, value in getattr(link, values).items()}
        return found

    @property
    def settings(self) -> dict[str, Any]:
        return self._each("settings")

    @property
    def changed(self) -> dict[str, Any]:
        return self._each("changed")

    def identity(self) -> dict[str, Any]:
        return {"then": [self.first.identity(), self.second.identity()]}

    def check(self, subject: Any) -> list[Problem]:
        problems = self.first.check(subject)
        if any(problem.level == "error" for problem in problems):
            return problems
        return problems + self.second.check(self.first.outline(subject))

    def predict(self, subject: Any) -> Cost:
        return self.second.predict(self.first.outline(subject))

    def outline(self, subject: Any) -> Any:
        return self.second.outline(self.first.outline(subject))

    def prepare(self, subject: Any, seed: int = 0, report: Report = silent) -> Any:
        between = self.first.prepare(subject, seed, part(report, 0, 2))
        return self.second.prepare(between, seed, part(report, 1, 2))

    def apply(self, artifact: Any, inputs: Any) -> Any:
        plain = type(self.second).apply is Method.apply
        return (self.first if plain else self.second).apply(artifact, inputs)

    def code(self) -> str:
        return f"{self.first.code()}.then({self.second.code()})"


def digest(value: Mapping[str, Any]) -> str:
    """A short stable hash of plain values, independent of key order."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
