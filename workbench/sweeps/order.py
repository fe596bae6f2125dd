"""What an executor is handed: one job of a study, with all that another machine needs for it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from workbench.runs import Run, Store
from workbench.sweeps.grid import Settings
from workbench.sweeps.identity import identity_of

GRACE = 10.0
"""Seconds that a job asked to stop has for it, before it is ended."""


@dataclass(frozen=True)
class Order:
    """One job.

    Attributes:
        store: folder of the store, the same on every machine.
        study: name of the study.
        token: of the process that drives the study; the job ends when that is gone.
        settings: of each of its runs.
        version: fingerprint of the function.
        together: the function gets all settings at once.
        function: the function, packed.
        attempt: 0 for the first; two attempts are never the same order.
        grace: seconds from a wish to stop until the job is ended.
    """

    store: str
    study: str
    token: str
    settings: tuple[Settings, ...]
    version: str
    together: bool
    function: bytes
    attempt: int = 0
    grace: float = GRACE

    def again(self) -> Order:
        """The next attempt."""
        return replace(self, attempt=self.attempt + 1)

    def runs(self) -> list[Run]:
        """The runs of the job, in the order of its settings."""
        store = Store(self.store)
        return [store.run(identity_of(one, self.version)) for one in self.settings]

    def as_json(self) -> dict[str, Any]:
        """All but the function, as plain values."""
        names = [field.name for field in fields(self) if field.name != "function"]
        return {name: getattr(self, name) for name in names}


def order_of(said: dict[str, Any], function: bytes) -> Order:
    """The order of `as_json`."""
    return Order(**{**said, "settings": tuple(said["settings"])}, function=function)
