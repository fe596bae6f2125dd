"""The file an automatic plan comes from: survey, trials and choices of one pipeline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench import home, shipped
from workbench.atomic import replace_file
from workbench.diffusion.automatic.survey import Survey
from workbench.measure.device import Device
from workbench.study.method import digest

SHIPPED = "data/automatic-plan/evidence.json"


def timed_by(device: Device) -> str:
    """The processor whose clock times: its name, and of a CPU its model and instructions, by which
    kernels are chosen (`kernels_pallas.tuning`)."""
    if device.kind != "CPU":
        return device.name
    from kernels_pallas.processor import instructions, model

    return ", ".join(filter(None, (device.name, model(), instructions())))


@dataclass
class Evidence:
    """All that was measured for one pipeline on one set of seeds, saved as it grows.

    Args:
        fingerprint: of the pipeline, sampling in full.
        survey: a `Survey.record`, or None before it is measured.
        errors: measured final error by plan.
        choices: what was chosen, by the settings it was chosen for.
    """

    file: Path
    fingerprint: str
    seeds: tuple[int, ...]
    survey: dict[str, Any] | None = None
    errors: dict[str, float] = field(default_factory=dict)
    choices: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, fingerprint: str, seeds: tuple[int, ...], version: str) -> Evidence:
        """What is known of a pipeline: measured here, else shipped, else nothing yet."""
        name = digest({"subject": fingerprint, "seeds": list(seeds), "version": version})
        file = home.data() / "automatic-plans" / f"{name}.json"
        here = cls._read(file)
        if here is None:
            try:
                here = cls._read(shipped.path(SHIPPED))
            except FileNotFoundError:
                here = None
        if here is None or (here["fingerprint"], tuple(here["seeds"])) != (fingerprint, seeds):
            return cls(file, fingerprint, seeds)
        return cls(
            file, fingerprint, seeds, here["survey"], dict(here["errors"]), dict(here["choices"])
        )

    @staticmethod
    def _read(file: Path) -> Mapping[str, Any] | None:
        """A file's content; none where it is missing or broken, for it can be measured again."""
        try:
            found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        wanted = {"fingerprint", "seeds", "survey", "errors", "choices"}
        return found if isinstance(found, dict) and wanted <= found.keys() else None

    def keep_times_of(self, device: str, processor: str) -> None:
        """Forget what the clock of another machine said, and what was chosen by it.

        Of what shipped, what was chosen by a disturbed clock too.

        Args:
            device: `Device.label` of this machine, which tells cores and versions.
            processor: what `timed_by` says of it.
        """
        if self.survey is None:
            return
        found = Survey.of_record(self.survey)
        elsewhere = (found.device, found.processor) != (device, processor)
        if elsewhere:
            self.survey = None
        if elsewhere or not (found.well_timed or self.file.exists()):
            self.choices = {k: v for k, v in self.choices.items() if "cost=seconds" not in k}

    def save(self) -> None:
        """Write the file in one step."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self.file, [(json.dumps(self.record()) + "\n").encode()])

    def record(self) -> dict[str, Any]:
        """As plain values for a file."""
        return {
            "fingerprint": self.fingerprint,
            "seeds": list(self.seeds),
            "survey": self.survey,
            "errors": self.errors,
            "choices": self.choices,
        }
