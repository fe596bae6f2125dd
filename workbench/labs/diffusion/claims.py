"""Claim cards: the paper's numbers beside ours, with the reason where they differ.

A saving counts as reproduced when ours is at least the paper's, less the stated margin; as
reproduced in part when there is one beyond the margin. Only a run with the paper's settings
decides, never a prediction, and it decides about speed: the papers' quality measures need networks
that are not here.
"""

from __future__ import annotations

from collections.abc import Mapping

from workbench.diffusion.encoder_propagation import (
    FASTER_DIFFUSION,
    THE_PAPERS,
    EncoderPropagation,
)
from workbench.diffusion.feature_inheritance import DEEPCACHE, FeatureInheritance
from workbench.diffusion.plan import Plan, PlanError
from workbench.diffusion.stable_diffusion import STABLE_DIFFUSION_15
from workbench.figures.numbers import number
from workbench.labs.diffusion.points import Point
from workbench.labs.diffusion.scene import Scene
from workbench.panels.picture import Basis, ClaimCard, ClaimRow, Verdict

MARGIN = 3.0
"""Percentage points by which a saving may fall short of the paper's and still count as equal."""

SLACK = 1.05
"""Ratio of speeds that counts as faster at all."""

NOT_THE_PAPERS = "These are not the paper's settings, so nothing is decided: it has {}."
NOT_TIMED = "Not timed with these settings yet, so nothing is decided."


def claim(scene: Scene, setting: str, devices: Mapping[str, str]) -> ClaimCard | None:
    """The card of the method looked at closely; None for one without a published claim here.

    Args:
        setting: model and sampler in words.
        devices: where points were measured, by their basis.
    """
    if isinstance(scene.look, EncoderPropagation):
        return _encoder_propagation(scene, setting, devices)
    if isinstance(scene.look, FeatureInheritance):
        return _feature_inheritance(scene, setting, devices)
    return None


def _encoder_propagation(scene: Scene, setting: str, devices: Mapping[str, str]) -> ClaimCard:
    point = scene.point(scene.look)
    operations = None if point is None else 100 * (point.share - 1)
    elsewhere = 100 * (_share_elsewhere(scene) - 1)
    ratio, basis = _time_ratio(point, scene.base)
    change = None if ratio is None else 100 * (ratio - 1)
    knobs = scene.look.knobs
    as_paper = _paper_sampler(scene) and all(getattr(knobs, k) == v for k, v in THE_PAPERS.items())
    timed = as_paper and basis != "predicted"
    verdict = _saves(change, -41.0) if timed else "open"
    counted = _saves(elsewhere, -27.0) if as_paper else "open"
    rows = [
        ClaimRow("MACs, SD 1.5", "−27 %", _signed(elsewhere), counted, "predicted"),
        ClaimRow("MACs, here", "–", _signed(operations), "open", "predicted"),
        ClaimRow("Time", "−41 %", _signed(change), verdict, basis),
        ClaimRow("FID change", "−0.67", "not run", "open"),
    ]
    if not as_paper:
        reason = NOT_THE_PAPERS.format("50 DDIM steps, the list 50ls and noise injection of 0.003")
    else:
        reason = _reason(change, operations, -41.0) if timed else NOT_TIMED
    return ClaimCard(
        source="Faster Diffusion, table 1",
        url=FASTER_DIFFUSION.url,
        text="Nine encoder runs in 50 steps: 41 % less time, same quality.",
        rows=rows,
        verdict=verdict,
        reason=reason,
        setting=f"{setting} {_where(basis, devices)}Paper: SD, DDIM 50, one GPU.",
        details=f"Decided on speed alone. Reproduced: at least the paper's saving less {MARGIN:g} "
        f"points. In part: a saving of more than {MARGIN:g} points. FID needs COCO and an "
        "Inception network, and is not run.",
        bibtex=FASTER_DIFFUSION.bibtex(),
    )


def _feature_inheritance(scene: Scene, setting: str, devices: Mapping[str, str]) -> ClaimCard:
    point = scene.point(scene.look)
    operations = None if point is None else 1 / point.share
    ratio, basis = _time_ratio(point, scene.base)
    gain = None if ratio is None else 1 / ratio
    knobs = scene.look.knobs
    as_paper = _paper_sampler(scene) and knobs.interval == 5 and knobs.mode == "uniform"
    as_paper = as_paper and knobs.level == "branch"
    verdict: Verdict = "open"
    if not as_paper:
        reason = NOT_THE_PAPERS.format("50 steps of DDIM's kind, every fifth in full, a branch")
    elif gain is None or operations is None or basis == "predicted":
        reason = NOT_TIMED
    else:
        verdict = "reproduced" if gain >= 2.15 else "part" if gain > SLACK else "failed"
        share = 100 * gain / operations
        reason = f"On speed alone: the run reaches {share:.0f} % of what its operations promise."
    rows = [
        ClaimRow("MACs, SD 1.5", "–", _times(_gain_elsewhere(scene)), "open", "predicted"),
        ClaimRow("MACs, here", "–", _times(operations), "open", "predicted"),
        ClaimRow("Speed, interval 5", "2.15 ×", _times(gain), verdict, basis),
        ClaimRow("CLIP score", "29.41", "not run", "open"),
    ]
    return ClaimCard(
        source="DeepCache, table 3",
        url=DEEPCACHE.url,
        text="Keeping deep features for five steps runs sampling 2.15 × as fast with little loss.",
        rows=rows,
        verdict=verdict,
        reason=reason,
        setting=f"{setting} {_where(basis, devices)}Paper: Stable Diffusion 1.5, PLMS 50, one GPU; "
        "its table counts branches otherwise than its package, so the branch is not decided.",
        details=f"Decided on speed alone. Reproduced: at least the paper's speed. In part: more "
        f"than {SLACK:g} × the speed. DDIM stands for PLMS, which is DDIM with the noise of "
        "earlier steps, at the same cost. CLIP scores need a text-to-image model, and are not run. "
        + _branches(),
        bibtex=DEEPCACHE.bibtex(),
    )


def _branches() -> str:
    """Whose count of branches this is, settled by counting what each one computes."""
    steps, every, mean, full = 50, 5, 130.45, 338.83  # table 3: GMACs a step at interval 5, and 1
    whole = steps // every
    partial = (steps * mean - whole * full) / (steps - whole)
    counted = [f"{part.no_bmm / 1e9:.1f}" for part in STABLE_DIFFUSION_15.shallow[:4]]
    return (
        "Branches are numbered here as in the DeepCache package, where up blocks have three layers:"
        f" counted without attention products as the paper counts, a partial step of SD 1.5 takes "
        f"{', '.join(counted)} GMACs at branches 0 to 3. The paper's mean of {mean} at interval "
        f"{every} leaves {partial:.1f} for it, which is none of these."
    )


def _paper_sampler(scene: Scene) -> bool:
    return scene.steps == 50 and scene.sampler == "ddim"


def _gain_elsewhere(scene: Scene) -> float | None:
    """Operations saved on Stable Diffusion 1.5, as a ratio; None where it lacks what is named."""
    try:
        return 1 / _share_elsewhere(scene)
    except PlanError:
        return None


def _share_elsewhere(scene: Scene) -> float:
    """Operations of the plan on the screen on Stable Diffusion 1.5, against its full run."""
    plan, costs = scene.plans[scene.look.code()], STABLE_DIFFUSION_15
    return costs.run(plan).macs / costs.run(Plan.full(scene.steps)).macs


def _time_ratio(point: Point | None, base: Point | None) -> tuple[float | None, Basis]:
    """Time over the baseline's; measured or recorded only where both are, in one run."""
    if point is None or base is None or point.seconds is None or base.seconds is None:
        return None, "predicted"
    ratio = point.seconds.value / base.seconds.value
    return ratio, point.basis if point.basis == base.basis else "predicted"


def _where(basis: Basis, devices: Mapping[str, str]) -> str:
    """Our device; none for what no device ran."""
    return f"Here: {devices[basis]}. " if devices.get(basis) else ""


def _saves(change: float | None, paper: float) -> Verdict:
    if change is None:
        return "open"
    if change <= paper + MARGIN:
        return "reproduced"
    return "part" if change < -MARGIN else "failed"


def _reason(change: float | None, operations: float | None, paper: float) -> str:
    if change is None or operations is None:
        return NOT_TIMED
    if change <= paper + MARGIN:
        return "On speed alone: time falls as far as in the paper."
    saved = f"{abs(operations):.0f} %"
    if abs(change - operations) <= MARGIN:
        return f"On speed alone: time falls as operations do here, by about {saved}, no further."
    if change > operations:
        return f"On speed alone: time falls less than the {saved} of operations saved here."
    return f"On speed alone: time falls further than the {saved} of operations saved here."


def _signed(value: float | None) -> str:
    return (
        "not run" if value is None else f"{number(value) if value < 0 else '+' + number(value)} %"
    )


def _times(value: float | None) -> str:
    return "not run" if value is None else f"{number(value)} ×"
