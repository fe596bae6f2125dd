"""Blind pairs: which of two pictures is better, without knowing which method made it.

Some methods change a picture without making it worse, which no distance to the full run can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import create_model

from workbench.diffusion.population import win_rate
from workbench.labs.diffusion.foresight import device_label
from workbench.labs.diffusion.methods import BASELINE, DEFAULT, MethodClass
from workbench.labs.diffusion.pictures import png
from workbench.labs.diffusion.recorded import recorded
from workbench.panels.panel import Panel
from workbench.panels.picture import Pair, PairsContent, Picture
from workbench.panels.view import KnobGroup, Preset, Slot, Values, View
from workbench.progress import Report
from workbench.study.knobs import Knobs, knob

PAIRS = 20
GROUP = "pairs"


class Rivals(Knobs):
    """What the full run is held against, and which seeds are drawn."""

    first_seed: int = knob(
        100, ge=0, le=10_000, label="First seed", help="Pairs use this seed and the nineteen after."
    )


def blind(methods: Sequence[MethodClass] = DEFAULT) -> Panel:
    """A page of 20 blind pairs against full sampling, then a win rate with its interval."""
    return Panel(BlindView(methods))


class BlindView(View):
    """Twenty pairs of the same seeds, sides shuffled."""

    title = "Blind comparison"
    study_line = "20 seeds, full sampling against one method, sides shuffled"
    automatic = False
    verb = "Draw pairs"

    def __init__(self, methods: Sequence[MethodClass] = DEFAULT) -> None:
        self.methods = {method.name: method for method in methods}
        names = tuple(self.methods)
        rival = knob(
            names[0],
            label="Against full",
            help="The method that full sampling is compared with, at its default settings.",
            choices={name: name for name in names},
        )
        kind: Any = Literal[names]
        form = create_model("Rivals", __base__=Rivals, rival=(kind, rival))
        self.groups = [KnobGroup(GROUP, "Pairs", form)]
        wanted = [names[min(i, len(names) - 1)] for i in range(3)]
        self.presets = [Preset(f"{name} or full?", {GROUP: {"rival": name}}) for name in wanted]
        self.layout = [[Slot("pairs", "pairs")]]

    def predict(self, values: Values) -> Picture | None:
        """The recorded pictures of these two methods, eight pairs, until new ones are drawn."""
        name = self._rival(values)
        shipped = recorded()
        full, fast = BASELINE().code(), self.methods[name]().code()
        if full not in shipped.pictures or fast not in shipped.pictures:
            return None
        pairs = [
            Pair(png(one), png(other), f"seed {seed}")
            for seed, (one, other) in enumerate(
                zip(shipped.pictures[full], shipped.pictures[fast], strict=True)
            )
        ]
        picture = self._picture(pairs, name, "recorded")
        return Picture(picture.contents, basis="recorded", when=shipped.date, device=shipped.device)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """Sample both methods on twenty fresh seeds."""
        from workbench.labs.diffusion.sampling_study import study
        from workbench.runs import Store
        from workbench.study.compare import compare

        name = self._rival(values)
        first = values[GROUP].model_dump()["first_seed"]
        about = study(seeds=range(first, first + PAIRS))
        methods = [BASELINE(), self.methods[name]()]
        found = compare(methods, about, repeats=0, memory=Store(), report=report)
        images = [np.rint(255 * found.outputs[m.name]["image"]).astype(np.uint8) for m in methods]
        pairs = [
            Pair(png(one), png(other), f"seed {seed}")
            for seed, one, other in zip(about.seeds, *images, strict=True)
        ]
        yield self._picture(pairs, name, "measured")

    def answered(self, slot: str, answers: Sequence[str]) -> str:
        """The win rate of the accelerated pictures with its interval."""
        wins, losses = answers.count("second"), answers.count("first")
        share, low, high = win_rate(wins, losses, answers.count("same"))
        said = (
            f"The accelerated picture won {100 * share:.0f} % ({100 * low:.0f}–{100 * high:.0f} %)"
        )
        if low <= 0.5 <= high:
            return f"{said}: {len(answers)} pairs do not tell the two apart."
        return f"{said}: you preferred {'it' if share > 0.5 else 'full sampling'}."

    def _rival(self, values: Values) -> str:
        return str(values[GROUP].model_dump()["rival"])

    def _picture(self, pairs: Sequence[Pair], name: str, basis: Any) -> Picture:
        content = PairsContent(
            title="Which picture is the better digit?",
            subtitle="Same seed and class on both sides. Arrow keys choose, down means the same.",
            pairs=pairs,
            names=(BASELINE.name, name),
            question="Which picture is better?",
        )
        return Picture({"pairs": content}, basis=basis, device=device_label())
