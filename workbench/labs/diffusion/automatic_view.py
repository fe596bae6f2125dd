"""The automatic plan's panel: what the search measured and chose, and whether it was worth it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from workbench.diffusion.automatic.method import AutomaticPlan
from workbench.diffusion.plan import Plan
from workbench.labs.diffusion import automatic_shown as shown
from workbench.labs.diffusion.automatic_judged import (
    AUTOMATIC,
    Contender,
    Judged,
    fronts,
    judge,
    priced,
    rivals,
    shipped_judging,
    verdict,
)
from workbench.labs.diffusion.export import model_code
from workbench.labs.diffusion.facts import ModelFacts
from workbench.labs.diffusion.foresight import device_label
from workbench.labs.diffusion.methods import OWN_SAMPLER_NAMES, REPEATS, OwnSampler, group_id
from workbench.labs.diffusion.plan_files import PLAN_MENU, config_of, plan_file
from workbench.labs.diffusion.presets import study_line
from workbench.labs.diffusion.recorded import recorded
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, Content, EmptyContent, Picture
from workbench.panels.view import Hints, KnobGroup, Preset, Problem, Slot, Values, View
from workbench.progress import Report
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

SAMPLING, JUDGING, GROUP = "sampling", "judging", group_id(AutomaticPlan)
UNSAID = (None, "own")
NEVER: dict[str, tuple[str, ...]] = {"by": ()}


class SamplingKnobs(Knobs):
    """The run that is to be made shorter."""

    sampler: OwnSampler = knob(
        "own",
        help=f"How predictions become the next sample. {REPEATS}",
        choices=OWN_SAMPLER_NAMES,
    )
    steps: int = knob(50, ge=2, le=200, unit="steps", help="Steps of the full run.")
    guidance: float | None = knob(
        None, ge=0, step=0.1, unit="×", help="The model’s own where empty."
    )


class JudgingKnobs(Knobs):
    """On what a chosen plan is judged, apart from the search."""

    by: Literal["seconds", "operations"] = knob(
        "seconds",
        label="Cost shown",
        help="What the chart holds quality against.",
        choices={"seconds": "Time", "operations": "Operations"},
    )
    seeds: int = knob(
        32,
        ge=32,
        le=128,
        step=8,
        label="Judging pictures",
        help="Pictures the search never saw; more narrow the interval.",
    )
    lists: int = knob(
        6,
        ge=0,
        le=60,
        label="Hand-made lists",
        help="How many are judged beside it here: those nearest to it in time. Where that is all "
        "of them, every plan searched so far is judged too, and the fronts are compared.",
    )
    look: str = knob("", help="The plan looked at.", visible_when=NEVER)


def automatic_plan(
    pipeline: Pipeline | None = None,
    *,
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> Panel:
    """The panel of the automatic plan: shipped evidence first, a search of one's own on request.

    Args:
        pipeline: another model than the shipped one. A model of prompts needs `with_prompts`.
        settings: what "Copy settings" gave.
    """
    if pipeline is not None and settings is None:
        settings = {SAMPLING: {"steps": min(max(pipeline.steps, 2), 200)}}
    return Panel(AutomaticView(pipeline), settings=settings)


class AutomaticView(View):
    """Search, choice and verdict on one model."""

    title = "Automatic plan"
    automatic = False
    verb = "Search"
    exports = PLAN_MENU
    layout = (
        (Slot("front", "chart", 1.45), Slot("verdicts", "table", 1.0)),
        (Slot("drift", "chart"),),
        (Slot("plans", "table"),),
    )

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        self.given = pipeline
        self.shipped = shipped_judging() if pipeline is None else None
        self.study_line = study_line(recorded().facts, None) if pipeline is None else pipeline.name
        self.groups = (
            KnobGroup(SAMPLING, "Full run", SamplingKnobs),
            KnobGroup(GROUP, AutomaticPlan.name, AutomaticPlan.Knobs, method=4),
            KnobGroup(JUDGING, "Judging", JudgingKnobs),
        )
        half = {GROUP: {"goal": "time", "budget": 0.5}}
        self.presets = (
            Preset("Half the time, nearest pictures", half),
            Preset("A third of the time", {GROUP: {"goal": "time", "budget": 0.35}}),
            Preset("Least time within 5 % change", {GROUP: {"goal": "quality", "tolerance": 0.05}}),
        )
        self.judged: dict[str, Judged] = {}
        self.likeness: dict[str, tuple[float, ...]] = {}
        self._facts: ModelFacts | None = recorded().facts if pipeline is None else None

    # -- settings ---------------------------------------------------------------------------

    def check(self, values: Values) -> list[Problem]:
        """What a given model says of these settings."""
        if self.given is None:
            return []
        try:
            self._pipeline(values)
        except ValueError as error:
            return [Problem("error", "", str(error), SAMPLING)]
        if self.given.reads_text and not self.given.prompts:
            text = "This model reads prompts: open the panel on pipeline.with_prompts([…])"
            return [Problem("error", "", text, SAMPLING)]
        return []

    def hints(self, values: Values) -> Hints:
        """The search is what this is about."""
        return Hints(active=(GROUP,))

    def _pipeline(self, values: Values) -> Pipeline:
        from workbench.labs.diffusion.sampling_study import pipeline

        knobs: Any = values[SAMPLING]
        subject = self.given or pipeline()
        return subject.with_sampling(
            steps=knobs.steps,
            guidance=knobs.guidance,
            sampler=None if knobs.sampler == "own" else knobs.sampler,
        )

    @staticmethod
    def _key(values: Values) -> str:
        """Names a run: everything but how it is shown."""
        sampling: Any = values[SAMPLING]
        search: Any = values[GROUP]
        judging: Any = values[JUDGING]
        return f"{sampling!r} {search!r} {judging.seeds} {judging.lists}"

    # -- pictures ---------------------------------------------------------------------------

    def predict(self, values: Values) -> Picture | None:
        """What ran here with these settings, else what shipped; None without either."""
        own = self.judged.get(self._key(values))
        if own is not None:
            return self._picture(own, values, "measured")
        shipped_one = self._shipped_for(values)
        if shipped_one is None:
            text = f"{self.verb} measures how features move, then tries plans. It can be stopped."
            empty = EmptyContent("Nothing searched yet with these settings", text, self.verb)
            return Picture({"front": empty}, basis="predicted", device=device_label())
        return self._picture(shipped_one, values, "recorded")

    def _shipped_for(self, values: Values) -> Judged | None:
        """What shipped, where it is of these sampling settings."""
        sampling: Any = values[SAMPLING]
        as_shipped = sampling.sampler in ("own", "ddim") and sampling.guidance in (None, 1.5)
        return self.shipped if as_shipped and sampling.steps == 50 else None

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """Search, show what was chosen, then judge it on other seeds."""
        from workbench.diffusion.automatic.survey import Survey

        report(0, 1, "Loading the model")
        pipeline, knobs = self._pipeline(values), values[GROUP]
        judging: Any = values[JUDGING]
        method = AutomaticPlan(knobs)
        if self._facts is None:
            report(0, 1, "Counting the operations")
            self._facts = ModelFacts.of_pipeline(pipeline)

        def searching(done: int, total: int, note: str = "", preview: Any = None) -> None:
            report(done, 2 * total, f"{note[:1].upper()}{note[1:]}", preview)

        def judged_here(done: int, total: int, note: str = "", preview: Any = None) -> None:
            report(total + done, 2 * total, note, preview)

        method.prepare(pipeline, report=searching)
        choice = method.choice(pipeline) or {}
        evidence = method.evidence(pipeline)
        surveyed = evidence.survey or {}
        found = self._judged((), choice, surveyed, pipeline)
        yield self._picture(found, values, "measured")
        record = choice.get("plan") or choice.get("nearest")
        if record is None or evidence.survey is None:
            self.judged[self._key(values)] = found
            return
        plan, survey = Plan.of_record(record), Survey.of_record(evidence.survey)
        others = rivals(plan, survey, judging.lists, pipeline.scheduler)
        every = judging.lists >= len(priced(plan.steps, survey))
        searched = _searched(evidence.choices) if every else {}
        plans = [
            (AUTOMATIC, key, one) for key, one in ({method.key: plan} | searched).items()
        ] + others
        seeds = tuple(range(judging.seeds))
        contenders = judge(pipeline, plans, survey, seeds, self.likeness, judged_here)
        said = fronts(contenders, survey.well_timed) if every else {}
        found = self._judged(tuple(contenders), choice, surveyed, pipeline, said)
        self.judged[self._key(values)] = found
        yield self._picture(found, values, "measured")

    def _judged(
        self,
        contenders: tuple[Contender, ...],
        choice: Mapping[str, Any],
        surveyed: Mapping[str, Any],
        pipeline: Pipeline,
        compared: Mapping[str, str] | None = None,
    ) -> Judged:
        """What is shown; times are the survey's, which may have shipped from another machine."""
        import datetime

        said = verdict(contenders)
        name = type(pipeline.scheduler).__name__
        return Judged(
            contenders=contenders,
            verdicts=({"rivals, judged here": said} if said else {}) | dict(compared or {}),
            choice=choice,
            short=None,
            drift=surveyed.get("drift", {}),
            setting=f"{name}, {pipeline.steps} steps, guidance {pipeline.guidance:g}",
            device=surveyed.get("device", device_label()),
            date=surveyed.get("date", datetime.date.today().isoformat()),
        )

    def _picture(self, judged: Judged, values: Values, basis: Any) -> Picture:
        knobs: Any = values[JUDGING]
        look = self._looked_at(judged, values)
        contents: dict[str, Content] = {"verdicts": shown.verdict_table(judged)}
        if judged.contenders:
            chart = shown.front(judged, knobs.by, look.key if look else "")
            contents |= {"front": ChartContent.of(chart), "plans": shown.chosen(judged)}
        else:
            contents["front"] = EmptyContent("Not judged yet", shown.said_of(judged.choice or {}))
        if judged.drift and self._facts is not None:
            plan = look.plan if look else self._plan_of(judged)
            name = look.name if look else AutomaticPlan.name
            drawn = shown.drift_chart(judged.drift, plan, self._facts, name)
            contents["drift"] = ChartContent.of(drawn)
        return Picture(contents, basis=basis, when=judged.date, device=judged.device)

    @staticmethod
    def _plan_of(judged: Judged) -> Plan | None:
        record = (judged.choice or {}).get("plan")
        return None if record is None else Plan.of_record(record)

    def _looked_at(self, judged: Judged, values: Values) -> Contender | None:
        """The contender that was clicked, else the automatic plan nearest to what is asked for."""
        knobs: Any = values[JUDGING]
        search: Any = values[GROUP]
        clicked = judged.named(knobs.look)
        plans = [one for one in judged.of(AUTOMATIC) if one.seconds is not None]
        if clicked is not None or not plans:
            return clicked
        return min(plans, key=lambda one: abs((one.seconds or 0.0) - search.budget))

    def load(self, key: str) -> Mapping[str, Mapping[str, Any]] | None:
        """A clicked point or row becomes the plan looked at."""
        return {JUDGING: {"look": key}}

    # -- taken away -------------------------------------------------------------------------

    def code(self, values: Values) -> str:
        """Lines that search, run the plan and export it."""
        sampling: Any = values[SAMPLING]
        method = AutomaticPlan(values[GROUP])
        given = {"sampler": sampling.sampler, "guidance": sampling.guidance}
        if self.given is not None and given["guidance"] is None:
            given["guidance"] = self.given.guidance
        chosen = [f"steps={sampling.steps}"]
        chosen += [f"{name}={value!r}" for name, value in given.items() if value not in UNSAID]
        note, model = model_code(self.given)
        return "\n".join(
            [
                "from workbench.diffusion.automatic.method import AutomaticPlan",
                "from workbench.labs import diffusion",
                "",
                *note,
                f"subject = {model or 'diffusion.pipeline()'}.with_sampling({', '.join(chosen)})",
                f"planned = {method.code()}.prepare(subject)",
                'print(planned.plan.export("json"))',
                "diffusion.plan_editor(subject, planned.plan)",
                "",
            ]
        )

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """The plan looked at, for elsewhere."""
        judged = self.judged.get(self._key(values)) or self._shipped_for(values)
        look = None if judged is None else self._looked_at(judged, values)
        plan = look.plan if look else None if judged is None else self._plan_of(judged)
        if plan is None:
            raise ValueError("No plan was chosen yet, or none is worth it")
        return plan_file(kind, plan, config_of(self.given))


def _searched(choices: Mapping[str, Mapping[str, Any]]) -> dict[str, Plan]:
    """Plans of earlier searches of this model on the same seeds, by their settings."""
    return {
        key: Plan.of_record(choice["nearest"])
        for key, choice in choices.items()
        if "nearest" in choice
    }
