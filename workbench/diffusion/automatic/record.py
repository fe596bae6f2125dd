"""Search and judge automatic plans on the shipped model, or on one of your own.

    python -m workbench.diffusion.automatic.record --out data/automatic-plan
    python -m workbench.diffusion.automatic.record --model DIR --prompt "a red house" --out mine

The search measures on 8 seeds of its own. The judging samples every automatic plan, every
hand-made list and shorter full runs on 32 other seeds, and compares fronts of operations saved and
of step time saved against SSIM to the full run. A broken run goes on where it was. What comes of
the shipped model ships, for the panel of the automatic plan.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench import shipped
from workbench.atomic import replace_file
from workbench.diffusion.automatic.choosing import DISTURBED
from workbench.diffusion.automatic.evidence import Evidence
from workbench.diffusion.automatic.judging import (
    Front,
    difference,
    fewer_steps,
    hand_made,
    sentence,
    share,
)
from workbench.diffusion.automatic.method import AutomaticPlan
from workbench.diffusion.automatic.room import at_once
from workbench.diffusion.automatic.survey import Survey
from workbench.diffusion.costs import unit_costs
from workbench.diffusion.driver import sample
from workbench.diffusion.fidelity import ssim
from workbench.diffusion.loading.reading import load_pipeline
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.plan import Plan
from workbench.measure import device
from workbench.progress import Report, part, silent

MODEL, SHIPPED = "data/digits-unet", "data/automatic-plan"
BUDGETS = (0.22, 0.25, 0.3, 0.4, 0.55, 0.75)
FULL_STEPS = 50
FEWER = (5, 8, 12, 20, 30, 40)
"""Of so many full ones; shorter and longer runs take the same shares."""
JUDGES = tuple(range(32))
BATCH = 8
TRIES = 4
AUTOMATIC, HAND_MADE, FEWER_STEPS = "automatic", "hand-made", "fewer steps"
SHORT = 4


def methods() -> list[AutomaticPlan]:
    """The default settings, and a front of budgets by operations, which no clock disturbs."""
    front = [
        AutomaticPlan(budget=b, tolerance=1.0, cost="operations", tries=TRIES) for b in BUDGETS
    ]
    return [*front, AutomaticPlan()]


def search(pipeline: Pipeline, out: Path, report: Report = silent) -> Evidence:
    """Prepare every method; its evidence, saved in `out` as well."""
    for place, method in enumerate(methods()):
        method.prepare(pipeline, report=part(report, place, len(methods())))
    evidence = methods()[0].evidence(pipeline)
    evidence.file = out / "evidence.json"
    evidence.save()
    return evidence


def contenders(pipeline: Pipeline, evidence: Evidence) -> list[tuple[str, str, Plan]]:
    """Origin, name and plan of everything that is judged."""
    found = [
        (AUTOMATIC, method.key, Plan.of_record(evidence.choices[method.key]["nearest"]))
        for method in methods()[: len(BUDGETS)]
        if "nearest" in evidence.choices[method.key]
    ]
    found += [(HAND_MADE, name, plan) for name, plan in hand_made(pipeline.steps).items()]
    return found + [(FEWER_STEPS, f"{n} steps", Plan.full(n)) for n in fewer(pipeline)]


def fewer(pipeline: Pipeline) -> list[int]:
    """Steps of shorter full runs that the model's sampler can make."""
    shares = (n / FULL_STEPS for n in FEWER)
    found = {fewer_steps(pipeline.scheduler, pipeline.steps, share) for share in shares}
    return sorted(found)


def quality(pipeline: Pipeline, plan: Plan, reference: np.ndarray) -> list[float]:
    """SSIM to the full run of each judging seed."""
    planned = pipeline.with_sampling(steps=plan.steps).with_plan(plan)
    return [float(value) for value in ssim(pictures(planned), reference)]


def pictures(pipeline: Pipeline) -> np.ndarray:
    """Pictures of the judging seeds, as many together as there is room for."""
    each = unit_costs(pipeline.shape).group_bytes(pipeline.plan.longest, pipeline.passes, 1)
    together = at_once(BATCH, each)
    batches = [JUDGES[at : at + together] for at in range(0, len(JUDGES), together)]
    return np.concatenate([sample(pipeline, pipeline.inputs(b))["image"] for b in batches])


def judge(
    pipeline: Pipeline, evidence: Evidence, kept: Path, report: Report = silent
) -> list[dict[str, Any]]:
    """One row for each plan: cost by both measures and quality by seed."""
    rows: dict[str, dict[str, Any]] = {}
    if kept.exists():
        rows = json.loads(kept.read_text(encoding="utf-8"))
    survey, all_of = Survey.of_record(evidence.survey or {}), contenders(pipeline, evidence)
    reference = None
    for place, (origin, name, plan) in enumerate(all_of):
        report(place, len(all_of), f"judging {name}")
        key = f"{origin}: {name}: {plan!r}"
        if key in rows:
            continue
        reference = pictures(pipeline) if reference is None else reference
        whole = plan.steps / pipeline.steps
        shares = [share(plan, survey, costs) for costs in (survey.macs, survey.seconds)]
        rows[key] = {
            "origin": origin,
            "name": name,
            "plan": plan.record(),
            "operations": None if shares[0] is None else shares[0] * whole,
            "seconds": None if shares[1] is None else shares[1] * whole,
            "ssim": quality(pipeline, plan, reference),
        }
        replace_file(kept, [json.dumps(rows).encode()])
    return [rows[f"{origin}: {name}: {plan!r}"] for origin, name, plan in all_of]


def front(rows: Sequence[dict[str, Any]], origin: str, by: str) -> Front:
    """The rows of one origin whose cost is known, as a front."""
    own = [row for row in rows if row["origin"] == origin and row[by] is not None]
    saved = np.array([1 - row[by] for row in own])
    quality = np.array([row["ssim"] for row in own])
    return Front(tuple(row["name"] for row in own), saved, quality)


def verdicts(rows: Sequence[dict[str, Any]], well_timed: bool) -> dict[str, dict[str, Any]]:
    """Each comparison of fronts: interval and sentence; by time only where a clock was to trust."""
    found = {}
    for by in ("operations", "seconds") if well_timed else ("operations",):
        ours = front(rows, AUTOMATIC, by)
        for origin in (HAND_MADE, FEWER_STEPS):
            theirs = front(rows, origin, by)
            gap = difference(ours, theirs)
            found[f"{origin}, {by} saved"] = {
                "difference": gap.value,
                "low": gap.low,
                "high": gap.high,
                "automatic": ours.volume(),
                "other": theirs.volume(),
                "sentence": sentence(gap, ours, theirs).replace("hand-made lists", _called(origin)),
            }
    return found


def _called(origin: str) -> str:
    return "hand-made lists" if origin == HAND_MADE else "shorter full runs"


def card(about: dict[str, Any]) -> str:
    """What a person reads beside the files."""
    lines = [
        f"# Automatic plans on {about['model']}",
        "",
        f"- Command: `{about['command']}`",
        f"- {about['device']}, {about['date']}; model weights {about['weights']}",
        f"- {about['setting']}; chosen on {about['search_seeds']} seeds, judged on {len(JUDGES)} "
        "others",
        "- Quality: SSIM to the full run of the same seed. Cost: operations counted; step time is "
        "the sum of each kind's fastest repeat. Front: area dominated above (0, 0); intervals by "
        "drawing seeds, 2000 times",
        f"- The search for a budget samples up to {TRIES} changes of its best plan; no published "
        "list of steps is among its candidates",
        "",
        "## Against",
        "",
    ]
    lines += [f"- {name}: {found['sentence']}" for name, found in about["verdicts"].items()]
    if not about["well_timed"]:
        lines.append(f"- step time saved: not compared. {DISTURBED}")
    lines += ["", "## Default settings", "", f"- {_said(about['default'])}"]
    lines += [f"- In {SHORT} steps: {_said(about['short'])}", ""]
    return "\n".join(lines)


def _said(choice: dict[str, Any]) -> str:
    if choice["plan"] is None:
        return f"None is worth it. {choice['reason']} {choice['advice']}"
    return str(choice["reason"])


def _subject(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Pipeline:
    """The model, with what the search needs of it; what does not fit is one line."""
    try:
        found = load_pipeline(options.model or shipped.path(MODEL))
        if options.prompt:
            found = found.with_prompts(options.prompt)
        if options.steps is not None:
            found = found.with_sampling(steps=options.steps)
        if found.reads_text and not found.prompts:
            raise ValueError(f"{found.name} reads prompts: give --prompt TEXT")
        AutomaticPlan().require(found)
    except ValueError as error:
        parser.error(str(error))
    return found


def _command(options: argparse.Namespace) -> str:
    """The line that does it again."""
    parts = ["python", "-m", "workbench.diffusion.automatic.record"]
    parts += ["--model", str(options.model)] if options.model else []
    parts += [word for prompt in options.prompt for word in ("--prompt", prompt)]
    parts += ["--steps", str(options.steps)] if options.steps else []
    return shlex.join([*parts, "--out", str(options.out)])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help=f"folder to write; {SHIPPED} without --model")
    parser.add_argument("--model", type=Path, help="folder of diffusers; the shipped model without")
    parser.add_argument(
        "--prompt", action="append", default=[], help="for a model of texts; again for more"
    )
    parser.add_argument("--steps", type=int, help="of the full run; the model's own without")
    options = parser.parse_args(arguments)
    if options.model is not None and options.out is None:
        parser.error("--model needs --out: the folder to write")
    options.out = options.out or Path(SHIPPED)
    pipeline = _subject(parser, options)
    options.out.mkdir(parents=True, exist_ok=True)
    from tqdm.auto import tqdm

    with tqdm(total=100, unit="%") as bar:

        def report(done: int, total: int, note: str = "", preview: object = None) -> None:
            bar.set_description(note[:60])
            bar.update(int(100 * done / total) - bar.n)

        evidence = search(pipeline, options.out, report)
        kept = options.out / f"judging-{pipeline.fingerprint}.part"
        rows = judge(pipeline, evidence, kept, report)
    short = pipeline.with_sampling(steps=SHORT)
    AutomaticPlan().prepare(short)
    well_timed = Survey.of_record(evidence.survey or {}).well_timed
    about = {
        "command": _command(options),
        "model": "the shipped digits model" if options.model is None else pipeline.name,
        "device": device.label(),
        "date": datetime.date.today().isoformat(),
        "weights": pipeline.weights_hash,
        "setting": f"{type(pipeline.scheduler).__name__}, {pipeline.steps} steps, guidance "
        f"{pipeline.guidance:g}",
        "search_seeds": len(evidence.seeds),
        "well_timed": well_timed,
        "verdicts": verdicts(rows, well_timed),
        "default": AutomaticPlan().choice(pipeline),
        "short": AutomaticPlan().choice(short),
        "plans": rows,
    }
    text = json.dumps(about, indent=1, ensure_ascii=False)
    (options.out / "judged.json").write_text(text + "\n", encoding="utf-8")
    (options.out / "card.md").write_text(card(about), encoding="utf-8")
    kept.unlink(missing_ok=True)
    print(card(about))


if __name__ == "__main__":
    main()
