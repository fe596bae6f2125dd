"""Blind pairs: which of two pictures is better, without knowing which method made it.

Some methods change a picture without making it worse, which no distance to the full run can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import create_model

from workbench.labs.diffusion import export
from workbench.labs.diffusion.foresight import device_label
from workbench.labs.diffusion.methods import (
    BASELINE,
    SAMPLING,
    MethodClass,
    chosen,
    methods_for,
    sampling,
)
from workbench.labs.diffusion.pictures import png
from workbench.labs.diffusion.view import DiffusionView
from workbench.panels.panel import Panel
from workbench.panels.picture import Basis, Pair, PairsContent, Picture
from workbench.panels.settings import accepted, merged, plain, start
from workbench.panels.view import KnobGroup, Preset, Slot, Values, View
from workbench.progress import Report
from workbench.study.knobs import Knobs, knob
from workbench.study.method import Method

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

PAIRS = 20
GROUP = "pairs"


class Rivals(Knobs):
    """What the full run is held against, and which seeds are drawn."""

    first_seed: int = knob(
        100, ge=0, le=10_000, label="First seed", help="Pairs use this seed and the nineteen after."
    )


def blind(
    panel: Panel | None = None,
    *,
    methods: Sequence[MethodClass] | None = None,
    pipeline: Pipeline | None = None,
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> Panel:
    """A page of 20 blind pairs against full sampling, then a win rate with its interval.

    Args:
        panel: the lab's panel: its model, its sampler and its methods as they are set now.
        methods, pipeline, settings: as for `open`, where there is no panel.
    """
    if panel is None:
        lab = DiffusionView(methods_for(pipeline) if methods is None else methods, pipeline)
        return Panel(BlindView(lab, accepted(lab, start(lab, settings))))
    if not isinstance(panel.view, DiffusionView):
        raise TypeError(f"blind takes a panel of the diffusion lab, not {panel.view.title!r}")
    return Panel(BlindView(panel.view, panel.values))


class BlindView(View):
    """Twenty pairs of the same seeds, sides shuffled.

    Args:
        lab: whose model and methods are judged.
        values: the lab's settings.
    """

    title = "Blind comparison"
    automatic = False
    verb = "Draw pairs"

    def __init__(self, lab: DiffusionView, values: Values) -> None:
        self.lab, self.settings = lab, values
        knobs = sampling(values)
        self.study_line = (
            f"Full sampling against one method, {knobs.sampler.upper()} {knobs.steps}, "
            f"guidance {knobs.guidance:g}, same seeds, sides shuffled"
        )
        self.methods = {method.name: method for method in chosen(lab.methods, values)[1:]}
        names = tuple(self.methods)
        rival = knob(
            knobs.look,
            label="Against full",
            help="The method that full sampling is compared with, set as in the lab’s panel.",
            choices={name: name for name in names},
        )
        kind: Any = Literal[names]
        form = create_model("Rivals", __base__=Rivals, rival=(kind, rival))
        self.groups = [KnobGroup(GROUP, "Pairs", form)]
        order = [knobs.look, *(name for name in names if name != knobs.look)]
        self.presets = [
            Preset(f"{name} or full?", {GROUP: {"rival": name}})
            for name in (order[min(i, len(order) - 1)] for i in range(3))
        ]
        self.layout = [[Slot("pairs", "pairs")]]

    def predict(self, values: Values) -> Picture | None:
        """The recorded pictures of these two methods, eight pairs, until new ones are drawn."""
        shipped = self.lab.recorded_for(self.settings)
        codes = [method.code() for method in self._rivals(values)]
        if shipped is None or not set(codes) <= set(shipped.pictures):
            return None
        images = [shipped.pictures[code] for code in codes]
        return self._picture(
            values, range(len(images[0])), images, "recorded", shipped.date, shipped.device
        )

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """Sample both methods on twenty fresh seeds."""
        from workbench.labs.diffusion.sampling_study import study
        from workbench.runs import Store
        from workbench.study.compare import compare

        first, knobs = values[GROUP].model_dump()["first_seed"], sampling(self.settings)
        about = study(
            self.lab.pipeline,
            sampler=knobs.sampler,
            steps=knobs.steps,
            guidance=knobs.guidance,
            seeds=range(first, first + PAIRS),
        )
        methods = self._rivals(values)
        found = compare(methods, about, repeats=0, memory=Store(), report=report)
        outputs = [found.outputs[name]["image"] for name in found.tables.methods]
        images = [np.rint(255 * image).astype(np.uint8) for image in outputs]
        yield self._picture(values, about.seeds, images, "measured")

    def code(self, values: Values) -> str:
        """Lines that open this page again."""
        look = {"look": str(values[GROUP].model_dump()["rival"])}
        settings = merged(plain(self.settings), {SAMPLING: look})
        return export.blind_code(self.lab.methods, settings, self.lab.pipeline)

    def _rivals(self, values: Values) -> tuple[Method, Method]:
        return BASELINE(), self.methods[str(values[GROUP].model_dump()["rival"])]

    def _picture(
        self,
        values: Values,
        seeds: Sequence[int],
        images: Sequence[np.ndarray],
        basis: Basis,
        when: str = "",
        device: str = "",
    ) -> Picture:
        full, rival = self._rivals(values)
        fresh = "" if len(seeds) == PAIRS else f" {self.verb} for {PAIRS} that nobody has seen."
        content = PairsContent(
            title=f"{'Twenty' if len(seeds) == PAIRS else len(seeds)} pairs, names hidden",
            subtitle="Same seed and class on both sides. Arrow keys choose, down means the same."
            + fresh,
            pairs=[
                Pair(png(one), png(other), f"seed {seed}")
                for seed, one, other in zip(seeds, *images, strict=True)
            ],
            names=(full.name, rival.name),
        )
        return Picture({"pairs": content}, basis=basis, when=when, device=device or device_label())
