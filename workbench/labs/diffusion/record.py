"""Record the study the lab opens with.

    python -m workbench.labs.diffusion.record --out data/diffusion-lab

Twenty methods and settings on 32 seeds, DDIM, 50 steps, guidance 1.5; 7 timed rounds, then the peak
memory of each. The machine must be otherwise idle for the times to mean anything.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.checkpoints import write_tensors
from workbench.diffusion.drift import drift
from workbench.diffusion.encoder_propagation import THE_PAPERS, EncoderPropagation
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.full_sampling import FewerSteps, FullSampling
from workbench.diffusion.pipeline import Pipeline
from workbench.labs.diffusion.facts import ModelFacts
from workbench.labs.diffusion.methods import DEFAULT, chosen, group_id, groups
from workbench.labs.diffusion.presets import presets
from workbench.labs.diffusion.sampling_study import pipeline, study
from workbench.measure import device
from workbench.panels.settings import defaults, merged, parse
from workbench.study.compare import compare, distinct
from workbench.study.comparison import Comparison
from workbench.study.method import Method

SETTING: dict[str, Any] = {"sampler": "ddim", "steps": 50, "guidance": 1.5, "seeds": 32}


def methods() -> list[Method]:
    """The baseline, and every setting whose point is on the first chart."""
    return distinct(
        [
            FullSampling(),
            EncoderPropagation(),
            EncoderPropagation(**THE_PAPERS),
            EncoderPropagation(key_steps="triangular"),
            *(EncoderPropagation(key_steps="uniform", interval=n) for n in (2, 3, 5, 10)),
            *(FeatureInheritance(interval=n) for n in (2, 3, 5, 10)),
            *(FeatureInheritance(interval=5, branch=b) for b in (1, 2)),
            FeatureInheritance(mode="centre-dense", interval=5),
            *(FewerSteps(steps=n) for n in (8, 12, 20, 25, 35)),
        ]
    )


def preset_codes() -> set[str]:
    """Every method that a preset shows, with its settings."""
    form = groups(DEFAULT)
    found: set[str] = set()
    for preset in presets(DEFAULT):
        values, problems = parse(form, merged(defaults(form), preset.values))
        assert values is not None, problems
        found |= {method.code() for method in chosen(DEFAULT, values)}
    return found


def record(out: Path, comparison: Comparison, asked: Sequence[Method], subject: Pipeline) -> None:
    """Write tables, pictures, drift and settings to a folder."""
    comparison.tables.save(out)
    codes = {method.name: method.code() for method in asked}
    pictures = {
        codes[name]: np.rint(255 * outputs["image"][:8]).astype(np.uint8)
        for name, outputs in comparison.outputs.items()
    }
    write_tensors(out / "pictures.safetensors", pictures)
    moved = drift(subject, subject.inputs(tuple(range(8))))
    arrays = {"relative": moved.relative, "normalised": moved.normalised}
    write_tensors(out / "drift.safetensors", {k: v.astype(np.float32) for k, v in arrays.items()})
    about = {
        "baseline": comparison.baseline,
        "setting": SETTING,
        "device": device.label(),
        "date": datetime.date.today().isoformat(),
        "weights": subject.weights_hash,
        "command": "python -m workbench.labs.diffusion.record",
        "knobs": {m.code(): {group_id(type(m)): m.knobs.model_dump(mode="json")} for m in asked},
        "facts": ModelFacts.of_pipeline(subject).record(),
    }
    (out / "lab.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data/diffusion-lab"))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    from tqdm.auto import tqdm

    with tqdm(total=100, unit="%") as bar:

        def report(done: int, total: int, note: str = "", preview: object = None) -> None:
            bar.set_description(note[:40])
            bar.update(int(100 * done / total) - bar.n)

        asked = methods()
        about = study(pipeline(), **SETTING, memory=True)
        subject: Any = about.subject
        # Twenty methods in processes of their own would take long; those of the presets are enough.
        shown = preset_codes()
        told: Any = about.peak
        about = replace(about, peak=lambda m: told(m) if m.code() in shown else None)
        comparison = compare(asked, about, repeats=options.rounds, report=report)
    record(options.out, comparison, asked, subject)
    print(comparison.summary().to_string())


if __name__ == "__main__":
    main()
