"""The lab's view: settings in, pictures out; `open()` shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.diffusion.plan import PlanError
from workbench.diffusion.planned import PlannedSampling
from workbench.figures import palette
from workbench.labs.diffusion import export
from workbench.labs.diffusion.arithmetic_time import arithmetic_time
from workbench.labs.diffusion.checks import problems
from workbench.labs.diffusion.claims import claim
from workbench.labs.diffusion.details import details
from workbench.labs.diffusion.drift_map import drift_map
from workbench.labs.diffusion.error_by_step import error_by_step
from workbench.labs.diffusion.facts import ModelFacts
from workbench.labs.diffusion.foresight import Foresight, device_label, plan_of
from workbench.labs.diffusion.methods import (
    BASELINE,
    DEFAULT,
    ROUNDS,
    SAMPLING,
    MethodClass,
    chosen,
    group_id,
    groups,
    methods_for,
    sampling,
)
from workbench.labs.diffusion.pictures import grid, split
from workbench.labs.diffusion.points import Point, points_of
from workbench.labs.diffusion.presets import own_sampling, presets, setting_line, study_line
from workbench.labs.diffusion.recorded import Recorded, recorded
from workbench.labs.diffusion.scene import Scene
from workbench.labs.diffusion.scoreboard import scoreboard
from workbench.labs.diffusion.spectrum import spectrum
from workbench.labs.diffusion.time_quality import time_quality
from workbench.labs.diffusion.worth import worth
from workbench.panels.panel import Panel
from workbench.panels.picture import Basis, ChartContent, Content, ImagesContent, Picture
from workbench.panels.view import (
    Export,
    Hints,
    KnobGroup,
    Preset,
    Problem,
    Slot,
    StepStrip,
    Values,
    View,
)
from workbench.progress import Report
from workbench.study.comparison import Comparison
from workbench.study.method import Method
from workbench.study.study import Study

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline
    from workbench.labs.diffusion.own_networks import OwnNetworks
    from workbench.measure.roofline import Peaks


def open(
    methods: Sequence[MethodClass] | None = None,
    *,
    pipeline: Pipeline | None = None,
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
    peaks: Peaks | None = None,
    networks: OwnNetworks | None = None,
) -> Panel:
    """The live panel of the lab.

    Args:
        methods: method classes beside full sampling, `[*DEFAULT, Mine]` to add one's own; without,
            `DEFAULT`, or `TRANSFORMER` where the model is one.
        pipeline: another model than the shipped one.
        settings: what "Copy settings" gave; without, a given model's own sampling.
        peaks: peak rates of the device, see `workbench.compare`.
        networks: networks of one's own, for FID and CLIPScore.
    """
    if pipeline is not None and settings is None:
        settings = {SAMPLING: own_sampling(pipeline)}
    given = methods_for(pipeline) if methods is None else methods
    return Panel(DiffusionView(given, pipeline, peaks, networks), settings=settings)


class DiffusionView(View):
    """Sampling plans compared on quality, time and arithmetic."""

    title = "Diffusion acceleration"

    def __init__(
        self,
        methods: Sequence[MethodClass] = DEFAULT,
        pipeline: Pipeline | None = None,
        peaks: Peaks | None = None,
        networks: OwnNetworks | None = None,
    ) -> None:
        if not methods:
            raise ValueError("methods is empty; give at least one method class, such as DEFAULT")
        self.methods = tuple(methods)
        self.pipeline, self.peaks, self.networks = pipeline, peaks, networks
        self.recorded: Recorded | None = None
        if pipeline is None:
            self.recorded = recorded()
            self.facts = self.recorded.facts
        else:
            self.facts = ModelFacts.of_pipeline(pipeline)
        classes: list[MethodClass] = [BASELINE, *self.methods]
        declared = {method.name: method.slot for method in classes}
        colours = palette.use({k: v for k, v in declared.items() if v != 0}, BASELINE.name)
        self.slots = {name: 0 if declared[name] == 0 else colours.slot(name) for name in declared}
        self.groups: Sequence[KnobGroup] = [
            replace(group, method=self.slots.get(group.label)) for group in groups(self.methods)
        ]
        self.presets: Sequence[Preset] = presets(self.methods)
        self.study_line = study_line(self.facts, pipeline)
        self.layout: Sequence[Sequence[Slot]] = (
            (Slot("time_quality", "chart", 1.6), Slot("split", "split", 1.0)),
            (Slot("verdicts", "table", folds=False),),
            (Slot("grid", "images", height=56),),
            (Slot("drift", "chart", 1.6), Slot("arithmetic", "chart", 1.0)),
            (
                Slot("error", "chart", 1.6, folded=True),
                Slot("spectrum", "chart", 1.0, folded=True),
            ),
            (Slot("scoreboard", "table", folded=True),),
        )
        self.exports: Sequence[Export] = export.menu(self.layout)
        self.measured: dict[str, dict[str, Point]] = {}
        self.live_pictures: dict[str, dict[str, np.ndarray]] = {}
        self.live_knobs: dict[str, dict[str, dict[str, Any]]] = {}
        self.live_drift: dict[str, np.ndarray] = {}
        self.weighed: set[tuple[str, ...]] = set()
        self.comparisons: dict[tuple[str, ...], Comparison] = {}
        self.seed = 0

    # -- settings ---------------------------------------------------------------------------

    def check(self, values: Values) -> list[Problem]:
        """Plans that no sampler can run, or that save nothing; and what a method checks itself."""
        methods = chosen(self.methods, values)[1:]
        known = self._foresight(values)
        found = [problems(m, values, known, lambda: self._study(values).subject) for m in methods]
        return [problem for each in found for problem in each]

    def hints(self, values: Values) -> Hints:
        """Which method is looked at, its steps as they will run, and what does not fit them."""
        look, steps = self._look(values), sampling(values).steps
        withheld = {
            f"{group_id(method)}.{name}": choices
            for method in self.methods
            if issubclass(method, PlannedSampling)
            for name, choices in method.unfit(steps).items()
        }
        strips: dict[str, StepStrip] = {}
        for method in chosen(self.methods, values)[1:]:
            fields, mode = type(method).Knobs.model_fields, getattr(method, "plan_field", "")
            if "custom_steps" not in fields or mode not in fields:
                continue
            try:
                plan = plan_of(method, steps)
            except (PlanError, ValueError):
                continue
            note = f"{len(plan.full_steps)} of {plan.steps} in full. Click to change."
            strips[f"{group_id(type(method))}.custom_steps"] = StepStrip(
                plan.steps, plan.full_steps, note, {mode: "custom"}, (0,)
            )
        return Hints(active=(group_id(type(look)),), strips=strips, withheld=withheld)

    def _look(self, values: Values) -> Method:
        wanted = sampling(values).look
        return next(m for m in chosen(self.methods, values)[1:] if type(m).name == wanted)

    # -- pictures ---------------------------------------------------------------------------

    def predict(self, values: Values) -> Picture:
        """Recorded trials where they fit the settings, predictions from them elsewhere."""
        scene = self._scene(values)
        points = [scene.point(method) for method in scene.methods]
        known = all(point is not None and point.basis != "predicted" for point in points)
        if sampling(values).memory:
            weighed = all(point is not None and point.peak_bytes for point in points)
            known = known and (weighed or self._asked(values) in self.weighed)
        fresh = bool(self.measured.get(self._context(values)))
        basis: Basis = "predicted" if not known else "measured" if fresh else "recorded"
        return self._picture(scene, values, basis)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """Sample, look, time: a picture after each method and one with times."""
        from workbench.diffusion.drift import drift
        from workbench.runs import Store
        from workbench.study.compare import progressive

        knobs, about = sampling(values), self._study(values)
        methods = chosen(self.methods, values)
        context = self._context(values)
        names = {method.code(): type(method).name for method in methods}
        for comparison in progressive(
            methods, about, repeats=ROUNDS, memory=Store(), peaks=self.peaks, report=report
        ):
            self.comparisons[self._asked(values)] = comparison
            known = self.measured.setdefault(context, {})
            known |= {c: p.keeping(known.get(c)) for c, p in points_of(comparison, names).items()}
            self._remember(methods)
            self.live_pictures.setdefault(context, {}).update(_pictures(comparison))
            yield self._picture(self._scene(values), values, "measured")
        if knobs.memory:
            self.weighed.add(self._asked(values))
        if context not in self.live_drift and self.recorded_for(values) is None:
            subject: Any = about.subject
            inputs = about.inputs(about.seeds[: about.batch])
            self.live_drift[context] = drift(subject, inputs, report).relative
            yield self._picture(self._scene(values), values, "measured")

    def _study(self, values: Values) -> Study:
        from workbench.labs.diffusion.sampling_study import study_of

        return study_of(sampling(values), self.pipeline, self.networks)

    def _remember(self, methods: Sequence[Method]) -> None:
        """What a click on a point measured here will load."""
        for method in methods:
            knobs = {group_id(type(method)): method.knobs.model_dump(mode="json")}
            self.live_knobs[method.code()] = knobs

    def _context(self, values: Values) -> str:
        knobs = sampling(values)
        return f"{knobs.sampler} {knobs.steps} {knobs.guidance:g} {knobs.seeds}"

    def _asked(self, values: Values) -> tuple[str, ...]:
        """Names a run: the sampler's settings and every method's."""
        codes = (method.code() for method in chosen(self.methods, values))
        return (self._context(values), *codes)

    def recorded_for(self, values: Values) -> Recorded | None:
        """The shipped study, where it is of this model with these sampler settings."""
        return self.recorded if self._foresight(values).as_recorded else None

    def comparison(self, values: Values) -> Comparison | None:
        """The run of these settings, else the recorded study where it has them, else None."""
        ran = self.comparisons.get(self._asked(values))
        if ran is not None:
            return ran
        codes = {method.code() for method in chosen(self.methods, values)}
        return next(
            (known for known in self._known(values) if codes <= set(known.tables.trials["code"])),
            None,
        )

    def _foresight(self, values: Values) -> Foresight:
        live = self.measured.get(self._context(values), {})
        return Foresight(self.facts, self.recorded, sampling(values), live)

    def _scene(self, values: Values) -> Scene:
        methods = chosen(self.methods, values)
        context, known = self._context(values), self._foresight(values)
        pictures = self.live_pictures.get(context, {})
        shipped = self.recorded_for(values)
        if shipped is not None:
            pictures = {**shipped.pictures, **pictures}
        steps = sampling(values).steps
        return Scene(
            methods=methods,
            points={method.code(): known.point(method) for method in methods},
            others={**known.shipped, **known.live},
            pictures=pictures,
            plans={method.code(): plan_of(method, steps) for method in methods},
            look=self._look(values),
            steps=steps,
            sampler=sampling(values).sampler,
            seed=self.seed,
            slots=self.slots,
        )

    def _drift(self, values: Values) -> tuple[np.ndarray | None, str]:
        """Drift at this setting, else the recorded one, and what run it is of."""
        context = self._context(values)
        if context in self.live_drift or self.recorded is None:
            return self.live_drift.get(context), ""
        return self.recorded.drift, "" if self.recorded_for(values) else "DDIM, 50 steps"

    def _picture(self, scene: Scene, values: Values, basis: Basis) -> Picture:
        here = any(point.basis == "measured" for point in scene.points.values())
        known = list(self._known(values))
        charts = {
            "time_quality": time_quality(scene, self._knobs, {}, self._subtitle(here)),
            "drift": drift_map(scene, self.facts, *self._drift(values)),
            "arithmetic": arithmetic_time(scene),
            "error": error_by_step(scene, known),
            "spectrum": spectrum(scene, known),
        }
        contents: dict[str, Content] = {n: ChartContent.of(c) for n, c in charts.items()}
        for name, content in (("grid", grid(scene)), ("split", split(scene))):
            if content is not None:
                contents[name] = content
        contents["verdicts"] = worth(scene, known)
        shipped = basis == "recorded" and self.recorded
        then = self.recorded.device if self.recorded else ""
        devices = {"recorded": then, "measured": device_label()}
        count = self.recorded.seeds if self.recorded and not here else sampling(values).seeds
        contents["scoreboard"] = scoreboard(scene, count)
        return Picture(
            contents=contents,
            claim=claim(scene, setting_line(sampling(values), self.pipeline), devices),
            basis=basis,
            details=details(self.comparison(values), self.comparisons.get(self._asked(values))),
            when=shipped.date if shipped else "",
            device=shipped.device if shipped else device_label(),
            comparison=self.comparison(values),
        )

    @property
    def _knobs(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """Form settings of every point ever shown, by its code."""
        return {**(self.recorded.knobs if self.recorded else {}), **self.live_knobs}

    def _subtitle(self, here: bool) -> str:
        if here or self.recorded is None:
            return "Upper left is better · hollow: predicted"
        return f"Upper left is better · hollow: predicted · filled: run of {self.recorded.date}"

    def _known(self, values: Values) -> Iterator[Comparison]:
        """The run of these settings, then the recorded study where it has their sampler."""
        if self._asked(values) in self.comparisons:
            yield self.comparisons[self._asked(values)]
        shipped = self.recorded_for(values)
        if shipped is not None:
            yield shipped.comparison

    # -- choices ----------------------------------------------------------------------------

    def annotate(self, picture: Picture, values: Values, pins: Mapping[str, Values]) -> Picture:
        """The pinned settings' letters on the first chart."""
        shown = picture.contents.get("time_quality")
        if not pins or not isinstance(shown, ChartContent):
            return picture
        letters = {self._look(pinned).code(): letter for letter, pinned in pins.items()}
        scene = self._scene(values)
        drawn = time_quality(scene, self._knobs, letters, shown.subtitle)
        contents = {**picture.contents, "time_quality": ChartContent.of(drawn)}
        return replace(picture, contents=contents)

    def load(self, key: str) -> Mapping[str, Mapping[str, Any]] | None:
        """Settings of a clicked point: the method's knobs, and the method looked at.

        Of a picture: its method to look at; its settings are on the form already.
        """
        name, _, seed = key.rpartition("|")
        if seed.isdigit() and name in [method.name for method in self.methods]:
            return {SAMPLING: {"look": name}}
        knobs = self._knobs.get(key)
        if knobs is None:
            return None
        known = {group_id(method): method.name for method in self.methods}
        group = next(iter(knobs))
        if group not in known:
            return None
        return {**knobs, SAMPLING: {"look": known[group]}}

    def choose(self, key: str, values: Values, picture: Picture) -> Picture | None:
        """The clicked picture in the split viewer."""
        name, _, seed = key.rpartition("|")
        if not seed.isdigit():
            return None
        self.seed = int(seed)
        scene = self._scene(values)
        look = next((m for m in scene.methods[1:] if m.name == name), scene.look)
        contents, shown = dict(picture.contents), split(replace(scene, look=look))
        rows = contents.get("grid")
        if shown is None or not isinstance(rows, ImagesContent):
            return None
        contents |= {"grid": replace(rows, chosen=key), "split": shown}
        return replace(picture, contents=contents)

    def code(self, values: Values) -> str:
        """Five lines that make the same table."""
        return export.code(self, values)

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """A file of the figure menu."""
        return export.write(kind, self, values, picture)


def _pictures(comparison: Comparison) -> dict[str, np.ndarray]:
    found = {}
    for method, outputs in comparison.outputs.items():
        code = str(comparison.tables.rows(method)["code"].iloc[0])
        found[code] = np.rint(255 * outputs["image"][:8]).astype(np.uint8)
    return found


__all__ = ["DiffusionView", "open"]
