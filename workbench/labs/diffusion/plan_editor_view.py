"""The plan editor: paint what each step computes, see at once what it costs, then run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pprint import pformat
from typing import TYPE_CHECKING, Any

from workbench.diffusion.encoder_propagation import THE_PAPERS
from workbench.diffusion.plan import Plan
from workbench.figures import palette
from workbench.labs.diffusion import export
from workbench.labs.diffusion.claims import claim
from workbench.labs.diffusion.details import details
from workbench.labs.diffusion.error_by_step import error_by_step
from workbench.labs.diffusion.foresight import device_label, plan_of
from workbench.labs.diffusion.methods import DEFAULT, SAMPLING, group_id, sampling
from workbench.labs.diffusion.own_plan import OwnPlan, listed, settings_of
from workbench.labs.diffusion.pictures import grid, split
from workbench.labs.diffusion.plan_cells import unknown_name
from workbench.labs.diffusion.plan_figures import plan_figures
from workbench.labs.diffusion.plan_files import PLAN_MENU, config_of, plan_file, where_it_runs
from workbench.labs.diffusion.plan_grid import own_plan, painted, plan_grid
from workbench.labs.diffusion.presets import own_sampling, setting_line
from workbench.labs.diffusion.scene import Scene
from workbench.labs.diffusion.time_quality import time_quality
from workbench.labs.diffusion.view import DiffusionView
from workbench.labs.diffusion.worth import worth
from workbench.panels.painting import Acted, Stroke
from workbench.panels.panel import Panel
from workbench.panels.picture import Basis, ChartContent, Content, PaintContent, Picture
from workbench.panels.settings import plain
from workbench.panels.view import Hints, Preset, Problem, Slot, Values
from workbench.study.method import Method

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

GROUP = group_id(OwnPlan)
USE = ("compare", "Use in the comparison")


class PlanEditor(Panel):
    """The panel of `plan_editor`; `editor.plan` is what is painted."""

    @property
    def plan(self) -> Plan:
        """What is painted now.

        Raises:
            PlanError: for a pattern that no sampler can run.
        """
        steps = sampling(self.values).steps
        return OwnPlan(self.values[GROUP]).plan(steps)


def plan_editor(
    pipeline: Pipeline | None = None,
    plan: Plan | None = None,
    *,
    panel: Panel | None = None,
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> PlanEditor:
    """A grid of steps and blocks to paint a plan on.

    Args:
        pipeline: another model than the shipped one.
        plan: to start from; it sets the number of steps.
        panel: a comparison that the plan can be handed to, opened with `OwnPlan` among its
            methods; its model is taken where no other is given.
        settings: what "Copy settings" gave.
    """
    if panel is not None:
        if not isinstance(panel.view, DiffusionView):
            raise TypeError(f"panel= takes a panel of the diffusion lab, not {panel.view.title!r}")
        pipeline = panel.view.pipeline if pipeline is None else pipeline
    if plan is not None:
        if settings is not None:
            raise ValueError("Give plan= or settings=, not both: settings hold a plan already")
        run = {} if pipeline is None else own_sampling(pipeline)
        settings = {SAMPLING: {**run, "steps": plan.steps}, GROUP: settings_of(plan)}
    elif pipeline is not None and settings is None:
        settings = {SAMPLING: own_sampling(pipeline)}
    return PlanEditor(PlanEditorView(pipeline, panel), settings=settings)


class PlanEditorView(DiffusionView):
    """One plan, painted by hand, beside full sampling and the published lists.

    Args:
        comparison_panel: where "Use in the comparison" puts the plan; without one its code is
            copied.
    """

    title = "Plan editor"
    automatic = False

    def __init__(
        self, pipeline: Pipeline | None = None, comparison_panel: Panel | None = None
    ) -> None:
        super().__init__((OwnPlan,), pipeline)
        self.comparison_panel = comparison_panel
        colours = palette.use({method.name: method.slot for method in DEFAULT}, "")
        self.slots |= {method.name: colours.slot(method.name) for method in DEFAULT}
        self.presets = [_preset(label, method, pipeline) for label, method in _STARTS]
        self.layout = (
            (Slot("paint", "paint"),),
            (Slot("figures", "figures", folds=False),),
            (Slot("time_quality", "chart", 1.45), Slot("split", "split", 1.0)),
            (Slot("grid", "images"),),
            (Slot("error", "chart"),),
            (Slot("verdicts", "table"),),
            (Slot("away", "table"),),
        )
        self.exports = (*PLAN_MENU, *export.menu(self.layout))

    # -- the grid ---------------------------------------------------------------------------

    def check(self, values: Values) -> list[Problem]:
        """What the comparison says of a plan, and names that the model does not have."""
        unknown = unknown_name(self.facts.costs, listed(_text(values, "inherited")))
        if unknown:
            known = ", ".join(self.facts.blocks)
            text = f"Inherited: there is no block {unknown!r}. Blocks are {known}"
            return [Problem("error", "inherited", text, GROUP)]
        return super().check(values)

    def hints(self, values: Values) -> Hints:
        """The grid, of any pattern that can be read; and the plan's own knobs in use."""
        steps = sampling(values).steps
        plan = own_plan(values[GROUP], steps)
        try:
            shown = plan_grid(
                values[GROUP], steps, plan, self.facts, slot=self.slots[OwnPlan.name], actions=[USE]
            )
        except ValueError:  # what cannot be read is told by the check; the grid stays
            return Hints(active=(GROUP,))
        return Hints(active=(GROUP,), grids={"paint": shown})

    def paint(self, stroke: Stroke, values: Values) -> Mapping[str, Mapping[str, Any]] | None:
        """The pattern after a stroke."""
        steps = sampling(values).steps
        try:
            changed = painted(stroke, values[GROUP], steps, self.facts)
        except ValueError:
            return None
        return None if changed is None else {GROUP: changed}

    def act(self, action: str, values: Values) -> Acted:
        """Hands the plan to the comparison, or gives the cell that opens one with it."""
        if action != USE[0]:
            return super().act(action, values)
        over = comparison_settings(values)
        panel = self.comparison_panel
        if panel is not None and GROUP in panel.settings:
            panel.load(over)
            return Acted("The comparison has the plan")
        note, model = export.model_code(self.pipeline)
        given = f", pipeline={model}" if model else ""
        lines = [
            "from workbench.labs import diffusion",
            "",
            *note,
            f"settings = {pformat(over, width=96, sort_dicts=False)}",
            "diffusion.open(methods=[*diffusion.DEFAULT, diffusion.OwnPlan], "
            f"settings=settings{given})",
            "",
        ]
        return Acted("Copied: paste it into a cell", "\n".join(lines))

    # -- pictures ---------------------------------------------------------------------------

    @cached_property
    def _published(self) -> list[tuple[Plan, Method]]:
        """Recorded methods with their plans, at the recorded number of steps."""
        if self.recorded is None:
            return []
        kinds = {group_id(kind): kind for kind in DEFAULT}
        steps = int(self.recorded.setting["steps"])
        known = [next(iter(knobs.items())) for knobs in self.recorded.knobs.values()]
        methods = [kinds[group](**fields) for group, fields in known if group in kinds]
        return [(plan_of(method, steps), method) for method in methods]

    def _scene(self, values: Values) -> Scene:
        """The painted plan; where it is a published one that was recorded, that one's results."""
        scene = super()._scene(values)
        own = scene.methods[1]
        point = scene.point(own)
        if self.recorded_for(values) is None or (point and point.basis == "measured"):
            return scene
        plan = scene.plans[own.code()]
        twin = next((method for known, method in self._published if known == plan), None)
        if twin is None:
            return scene
        return replace(
            scene,
            methods=(scene.baseline, twin),
            look=twin,
            points={
                scene.baseline.code(): scene.points[scene.baseline.code()],
                twin.code(): self._foresight(values).point(twin),
            },
            plans={**scene.plans, twin.code(): plan},
        )

    def _picture(self, scene: Scene, values: Values, basis: Basis) -> Picture:
        known = list(self._known(values))
        shown = scene.point(scene.look)
        whole = scene.plans[scene.look.code()]
        here = any(point.basis == "measured" for point in scene.points.values())
        contents: dict[str, Content] = {
            "paint": PaintContent(
                "What does each step compute?",
                "Filled: computed · empty: kept from the last full step · beside each block its "
                "share of a pass · below: operations of each step",
            ),
            "figures": plan_figures(whole, shown, scene.base, self.facts.costs),
            "time_quality": ChartContent.of(
                time_quality(scene, self._knobs, {}, self._subtitle(here))
            ),
            "error": ChartContent.of(error_by_step(scene, known)),
            "verdicts": worth(scene, known),
            "away": where_it_runs(whole, config_of(self.pipeline)),
        }
        for name, content in (("grid", grid(scene)), ("split", split(scene))):
            if content is not None:
                contents[name] = content
        shipped = self.recorded if basis == "recorded" else None
        then = self.recorded.device if self.recorded else ""
        devices = {"recorded": then, "measured": device_label()}
        comparison = self.comparison(values)
        return Picture(
            contents=contents,
            claim=claim(scene, setting_line(sampling(values), self.pipeline), devices),
            basis=basis,
            details=details(comparison, self.comparisons.get(self._asked(values))),
            when=shipped.date if shipped else "",
            device=shipped.device if shipped else device_label(),
            comparison=comparison or (shipped.comparison if shipped else None),
        )

    def load(self, key: str) -> Mapping[str, Mapping[str, Any]] | None:
        """A clicked point of a published list becomes the plan."""
        known = self._knobs.get(key)
        if known is None:
            return None
        group, fields = next(iter(known.items()))
        if group == GROUP:
            return known
        kind = next((kind for kind in DEFAULT if group_id(kind) == group), None)
        if kind is None or self.recorded is None or not hasattr(kind, "plan_field"):
            return None
        steps = int(self.recorded.setting["steps"])
        method = kind(**fields)
        if plan_of(method, steps).is_full:
            return None
        return {SAMPLING: {"steps": steps}, GROUP: settings_of(plan_of(method, steps))}

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """The plan for elsewhere, or a file of the figure menu."""
        if kind in [entry.kind for entry in PLAN_MENU]:
            plan = OwnPlan(values[GROUP]).plan(sampling(values).steps)
            return plan_file(kind, plan, config_of(self.pipeline))
        return super().export(kind, values, picture)


def comparison_settings(values: Values) -> dict[str, dict[str, Any]]:
    """Settings of a comparison that has the painted plan among its methods."""
    given = plain(values)
    return {SAMPLING: {**given[SAMPLING], "look": OwnPlan.name}, GROUP: given[GROUP]}


def _text(values: Values, name: str) -> str:
    return str(getattr(values[GROUP], name))


_STARTS: Sequence[tuple[str, Method]] = (
    ("The paper’s nine key steps", DEFAULT[0](**THE_PAPERS)),
    ("Every second step keeps the encoder", DEFAULT[0](key_steps="uniform", interval=2)),
    ("Every fifth step in full", DEFAULT[1](interval=5)),
)


def _preset(label: str, method: Method, pipeline: Pipeline | None) -> Preset:
    """A list at 50 steps, or at a given model's own number, with its own guidance."""
    run = {"steps": 50} if pipeline is None else own_sampling(pipeline)
    return Preset(label, {SAMPLING: run, GROUP: settings_of(plan_of(method, run["steps"]))})
