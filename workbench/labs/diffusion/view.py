"""The lab's view: settings in, pictures out; `open()` shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.diffusion.plan import Plan, PlanError
from workbench.figures import palette
from workbench.figures.chart import Chart
from workbench.labs.diffusion import export, foresight
from workbench.labs.diffusion.arithmetic_time import arithmetic_time
from workbench.labs.diffusion.claims import claim
from workbench.labs.diffusion.drift_map import drift_map
from workbench.labs.diffusion.methods import (
    BASELINE,
    DEFAULT,
    SAMPLING,
    MethodClass,
    chosen,
    group_id,
    groups,
    sampling,
)
from workbench.labs.diffusion.pictures import grid, split
from workbench.labs.diffusion.points import Point, points_of
from workbench.labs.diffusion.recorded import Recorded, recorded
from workbench.labs.diffusion.scene import Scene
from workbench.labs.diffusion.scoreboard import scoreboard
from workbench.labs.diffusion.time_quality import time_quality
from workbench.panels.panel import Panel
from workbench.panels.picture import Basis, ChartContent, Content, Picture
from workbench.panels.view import Hints, KnobGroup, Preset, Problem, Slot, StepStrip, Values, View
from workbench.study.comparison import Comparison
from workbench.study.method import Method
from workbench.study.progress import Report

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

ROUNDS = 5


def open(
    methods: Sequence[MethodClass] = DEFAULT,
    *,
    pipeline: Pipeline | None = None,
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> Panel:
    """The live panel of the lab.

    Args:
        methods: method classes beside full sampling, `[*DEFAULT, Mine]` to add one's own.
        pipeline: another model than the shipped one.
        settings: what "Copy settings" gave.
    """
    return Panel(DiffusionView(methods, pipeline), settings=settings)


class DiffusionView(View):
    """Sampling plans compared on quality, time and arithmetic."""

    title = "Diffusion acceleration"

    def __init__(
        self, methods: Sequence[MethodClass] = DEFAULT, pipeline: Pipeline | None = None
    ) -> None:
        if not methods:
            raise ValueError("methods is empty; give at least one method class, such as DEFAULT")
        self.methods = tuple(methods)
        self.pipeline = pipeline
        self.shipped: Recorded = recorded()
        classes: list[MethodClass] = [BASELINE, *self.methods]
        declared = {method.name: method.slot for method in classes}
        colours = palette.use({k: v for k, v in declared.items() if v != 0}, BASELINE.name)
        self.slots = {name: 0 if declared[name] == 0 else colours.slot(name) for name in declared}
        self.groups: Sequence[KnobGroup] = [
            replace(group, method=self.slots.get(group.label)) for group in groups(self.methods)
        ]
        self.presets = presets(self.methods)
        self.study_line = _study_line(self.shipped, pipeline)
        self.layout = (
            (Slot("time_quality", "chart", 1.45), Slot("split", "split", 1.0)),
            (Slot("grid", "images"),),
            (Slot("drift", "chart", 1.45), Slot("arithmetic", "chart", 1.0)),
            (Slot("scoreboard", "table"),),
        )
        self.exports = export.MENU
        self.measured: dict[str, dict[str, Point]] = {}
        self.live_pictures: dict[str, dict[str, np.ndarray]] = {}
        self.comparison: Comparison | None = None
        self.charts: dict[str, Chart] = {}
        self.seed = 0
        self.values_shown: Values = {}

    # -- settings ---------------------------------------------------------------------------

    def check(self, values: Values) -> list[Problem]:
        """Plans that no sampler can run, or that save nothing."""
        steps = sampling(values).steps
        found = []
        for method in chosen(self.methods, values)[1:]:
            group = group_id(type(method))
            try:
                plan = foresight.plan_of(method, steps)
            except (PlanError, ValueError) as error:
                field = getattr(method, "plan_field", "")
                found.append(Problem("error", field, str(error), group))
                continue
            found += foresight.warnings(method, plan, steps, self.shipped.costs, group)
        return found

    def hints(self, values: Values) -> Hints:
        """Which method is looked at, and its steps as they will run."""
        look = self._look(values)
        strips: dict[str, StepStrip] = {}
        for method in chosen(self.methods, values)[1:]:
            if "custom_steps" not in type(method).Knobs.model_fields:
                continue
            try:
                plan = foresight.plan_of(method, sampling(values).steps)
            except (PlanError, ValueError):
                continue
            count = f"{len(plan.full_steps)} of {plan.steps} steps run in full."
            note = f"{count} Click a step to change it."
            mode = "key_steps" if "key_steps" in type(method).Knobs.model_fields else "mode"
            strips[f"{group_id(type(method))}.custom_steps"] = StepStrip(
                plan.steps, plan.full_steps, note, {mode: "custom"}, (0,)
            )
        return Hints(active=(group_id(type(look)),), strips=strips)

    def _look(self, values: Values) -> Method:
        wanted = sampling(values).look
        return next(m for m in chosen(self.methods, values)[1:] if type(m).name == wanted)

    # -- pictures ---------------------------------------------------------------------------

    def predict(self, values: Values) -> Picture:
        """Recorded trials where they fit the settings, predictions from them elsewhere."""
        self.values_shown = values
        scene = self._scene(values)
        points = [scene.point(method) for method in scene.methods]
        known = all(point is not None and point.basis != "predicted" for point in points)
        fresh = bool(self.measured.get(self._context(values)))
        basis: Basis = "predicted" if not known else "measured" if fresh else "recorded"
        return self._picture(scene, values, basis)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """Sample, look, time: a picture after each method and one with times."""
        from workbench.labs.diffusion.study import study
        from workbench.runs import Store
        from workbench.study.compare import progressive

        knobs = sampling(values)
        about = study(
            self.pipeline,
            sampler=knobs.sampler,
            steps=knobs.steps,
            guidance=knobs.guidance,
            seeds=knobs.seeds,
        )
        methods = chosen(self.methods, values)
        context = self._context(values)
        self.values_shown = values
        for comparison in progressive(
            methods, about, repeats=ROUNDS, memory=Store(), report=report
        ):
            self.comparison = comparison
            self.measured.setdefault(context, {}).update(points_of(comparison))
            self.live_pictures.setdefault(context, {}).update(_pictures(comparison))
            yield self._picture(self._scene(values), values, "measured")

    def _context(self, values: Values) -> str:
        knobs = sampling(values)
        return f"{knobs.sampler} {knobs.steps} {knobs.guidance:g} {knobs.seeds}"

    def _scene(self, values: Values) -> Scene:
        methods = chosen(self.methods, values)
        context = self._context(values)
        live = self.measured.get(context, {})
        plans = {m.code(): foresight.plan_of(m, sampling(values).steps) for m in methods}
        shipped = foresight.shipped_points(self.shipped, sampling(values), live)
        points = {
            code: live.get(code) or shipped.get(code) or self._foreseen(method, values, live)
            for method in methods
            for code in [method.code()]
        }
        pictures = dict(self.live_pictures.get(context, {}))
        if foresight.same_setting(self.shipped, sampling(values)):
            pictures = {**self.shipped.pictures, **pictures}
        return Scene(
            methods=methods,
            points={code: point for code, point in points.items() if point is not None},
            others={**shipped, **live},
            pictures=pictures,
            plans=plans,
            look=self._look(values),
            steps=sampling(values).steps,
            seed=self.seed,
            slots=self.slots,
        )

    def _foreseen(self, method: Method, values: Values, live: Mapping[str, Point]) -> Point | None:
        return foresight.foresee(method, sampling(values), self.shipped, live)

    def _picture(self, scene: Scene, values: Values, basis: Basis) -> Picture:
        shipped = self.shipped
        measured_here = any(p.basis == "measured" for p in scene.points.values())
        where = "" if measured_here else f"shipped run of {shipped.date}"
        subtitle = "Upper left is better · hollow: predicted" + (
            " from the shipped run" if measured_here else f" · filled: {where}"
        )
        charts = {
            "time_quality": time_quality(scene, shipped.knobs, {}, subtitle),
            "drift": drift_map(scene, shipped.blocks, shipped.drift, shipped.reused),
            "arithmetic": arithmetic_time(scene),
        }
        self.charts = charts
        contents: dict[str, Content] = {
            name: ChartContent(c.title, c.subtitle, c.description, c.spec, c.rows)
            for name, c in charts.items()
        }
        for name, content in (("grid", grid(scene)), ("split", split(scene))):
            if content is not None:
                contents[name] = content
        count = sampling(values).seeds if measured_here else len(shipped.comparison.tables.rows(
            shipped.comparison.baseline))  # fmt: skip
        contents["scoreboard"] = scoreboard(scene, count)
        return Picture(
            contents=contents,
            claim=claim(scene, self._setting_words(values)),
            basis=basis,
            details=self._details(scene),
            when=shipped.date if basis == "recorded" else "",
            device=shipped.device if basis == "recorded" else foresight.device_label(),
        )

    def _setting_words(self, values: Values) -> str:
        knobs = sampling(values)
        sampler = f"{knobs.sampler.upper()} {knobs.steps}, guidance {knobs.guidance:g}."
        return f"Digits UNet, 16 × 16, {sampler}"

    def _details(self, scene: Scene) -> list[str]:
        if self.comparison is None:
            return []
        lines = []
        if scene.look.name in self.comparison.tables.methods:
            lines.append(self.comparison.verdict(scene.look.name).sentence)
        return lines

    # -- choices ----------------------------------------------------------------------------

    def annotate(self, picture: Picture, values: Values, pins: Mapping[str, Values]) -> Picture:
        """The pinned settings' letters on the first chart."""
        shown = picture.contents.get("time_quality")
        if not pins or not isinstance(shown, ChartContent):
            return picture
        letters = {self._look(pinned).code(): letter for letter, pinned in pins.items()}
        scene = self._scene(values)
        drawn = time_quality(scene, self.shipped.knobs, letters, shown.subtitle)
        content = ChartContent(
            drawn.title, drawn.subtitle, drawn.description, drawn.spec, drawn.rows
        )
        return replace(picture, contents={**picture.contents, "time_quality": content})

    def load(self, key: str) -> Mapping[str, Mapping[str, Any]] | None:
        """Settings of a clicked point: the method's knobs, and the method looked at."""
        knobs = self.shipped.knobs.get(key)
        if knobs is None:
            return None
        known = {group_id(method): method.name for method in self.methods}
        group = next(iter(knobs))
        if group not in known:
            return {SAMPLING: {"steps": self.shipped.setting["steps"]}}
        return {**knobs, SAMPLING: {"look": known[group]}}

    def choose(self, key: str, picture: Picture) -> Picture | None:
        """The clicked picture in the split viewer."""
        name, _, seed = key.rpartition("|")
        if not seed.isdigit():
            return None
        self.seed = int(seed)
        scene = self._scene(self.values_shown)
        look = next((m for m in scene.methods[1:] if m.name == name), scene.look)
        shown = replace(scene, look=look)
        contents = dict(picture.contents)
        for slot, content in (("grid", grid(shown)), ("split", split(shown))):
            if content is not None:
                contents[slot] = content
        return replace(picture, contents=contents)

    def code(self, values: Values) -> str:
        """Five lines that make the same table."""
        return export.code(self.methods, values)

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """A file of the figure menu."""
        return export.write(kind, self, values)

    def svg(self) -> str:
        """The first chart from recorded trials, drawn without a browser."""
        from workbench.figures.export import svg

        chart = self.charts.get("time_quality")
        return "" if chart is None else svg(chart)


def _study_line(shipped: Recorded, pipeline: Pipeline | None) -> str:
    if pipeline is not None:
        return pipeline.name
    size = f"{shipped.parameters / 1e6:.1f} M parameters"
    return f"Shipped digits UNet · {size} · 16 × 16, enlarged from 8 × 8 scans"


def _pictures(comparison: Comparison) -> dict[str, np.ndarray]:
    found = {}
    for method, outputs in comparison.outputs.items():
        code = str(comparison.tables.rows(method)["code"].iloc[0])
        found[code] = np.rint(255 * outputs["image"][:8, ..., 0]).astype(np.uint8)
    return found


def presets(methods: Sequence[MethodClass]) -> tuple[Preset, Preset, Preset]:
    """Three starting points answered from recorded trials."""
    names = [method.name for method in methods]

    def look(name: str) -> dict[str, Any]:
        return {"look": name if name in names else names[0], "seeds": 16}

    propagation, inheritance = group_id(DEFAULT[0]), group_id(DEFAULT[1])
    present = {group_id(method) for method in methods}
    wanted = (
        ("The paper’s nine key steps", DEFAULT[0].name, {propagation: {"key_steps": "paper"}}),
        (
            "Every second step keeps the encoder",
            DEFAULT[0].name,
            {propagation: {"key_steps": "uniform", "interval": 2}},
        ),
        ("A quarter of the time", DEFAULT[1].name, {inheritance: {"interval": 5}}),
    )
    one, two, three = (
        Preset(label, {**{g: v for g, v in knobs.items() if g in present}, SAMPLING: look(name)})
        for label, name, knobs in wanted
    )
    return one, two, three


__all__ = ["DiffusionView", "Plan", "open", "presets"]
