"""Claim cards: the paper's numbers beside ours, with the reason where they differ.

A row counts as reproduced when ours lies within the stated margin of the paper's, as reproduced in
part when the direction holds beyond the noise but the size does not.
"""

from __future__ import annotations

from workbench.diffusion.encoder_propagation import FASTER_DIFFUSION, EncoderPropagation
from workbench.diffusion.feature_inheritance import DEEPCACHE, FeatureInheritance
from workbench.figures.numbers import number
from workbench.labs.diffusion.points import Point
from workbench.labs.diffusion.scene import Scene
from workbench.panels.picture import Basis, ClaimCard, ClaimRow, Verdict

MARGIN = 3.0
"""Percentage points within which two changes count as equal."""

SD15_LIST = -26.7
"""Change of operations of the 50-step list on Stable Diffusion 1.5, counted here [%]."""

SD15_INTERVAL_5 = 3.80
"""Ratio of operations of interval 5, branch 0 on Stable Diffusion 1.5, counted here."""

NOT_THE_PAPERS = "These are not the paper's settings, so nothing is decided: it has {}."


def claim(scene: Scene, setting: str) -> ClaimCard | None:
    """The card of the method looked at closely; None for one without a published claim here."""
    if isinstance(scene.look, EncoderPropagation):
        return _encoder_propagation(scene, setting)
    if isinstance(scene.look, FeatureInheritance):
        return _feature_inheritance(scene, setting)
    return None


def _encoder_propagation(scene: Scene, setting: str) -> ClaimCard:
    point, base = scene.point(scene.look), scene.base
    operations = None if point is None else 100 * (point.share - 1)
    change, basis = _time_change(point, base)
    at_50 = scene.steps == 50 and scene.sampler == "ddim"
    as_paper = at_50 and scene.look.knobs.key_steps == "paper"
    verdict: Verdict = _agrees(change, -41.0) if as_paper else "open"
    rows = [
        ClaimRow("MACs, SD 1.5", "−27 %", _signed(SD15_LIST), "reproduced", "predicted"),
        ClaimRow("MACs, here", "–", _signed(operations), "open", "predicted"),
        ClaimRow("Time", "−41 %", _signed(change), verdict, basis),
        ClaimRow("FID change", "−0.67", "not run", "open"),
    ]
    reason = (
        _reason(change, operations, -41.0)
        if as_paper
        else NOT_THE_PAPERS.format("50 DDIM steps with the list 50ls")
    )
    return ClaimCard(
        source="Faster Diffusion, table 1",
        url=FASTER_DIFFUSION.url,
        text="Running the encoder at 9 of 50 steps leaves quality unchanged and cuts time by 41 %.",
        rows=rows,
        verdict=verdict,
        reason=reason,
        setting=f"{setting} Paper: Stable Diffusion, DDIM 50, one GPU.",
        details=f"Reproduced: at least the paper's saving less {MARGIN:g} points. In part: faster "
        f"by more than {MARGIN:g} points. FID needs COCO and an Inception network, and is not run.",
        bibtex=FASTER_DIFFUSION.bibtex(),
    )


def _feature_inheritance(scene: Scene, setting: str) -> ClaimCard:
    point, base = scene.point(scene.look), scene.base
    operations = None if point is None else 1 / point.share
    change, basis = _time_change(point, base)
    gain = None if change is None else 1 / (1 + change / 100)
    knobs = scene.look.knobs
    as_paper = scene.steps == 50 and knobs.interval == 5 and knobs.mode == "uniform"
    verdict: Verdict = "open"
    if gain is not None and as_paper:
        verdict = "reproduced" if gain >= 2.15 else "part" if gain > 1.05 else "failed"
    rows = [
        ClaimRow("MACs, SD 1.5", "–", _times(SD15_INTERVAL_5), "open", "predicted"),
        ClaimRow("MACs, here", "–", _times(operations), "open", "predicted"),
        ClaimRow("Speed, interval 5", "2.15 ×", _times(gain), verdict, basis),
        ClaimRow("CLIP score", "29.41", "not run", "open"),
    ]
    reason = "Not timed on this machine yet."
    if not as_paper:
        reason = NOT_THE_PAPERS.format("50 steps, every fifth in full")
    elif gain is not None and operations is not None:
        share = 100 * gain / operations
        reason = f"The run reaches {share:.0f} % of the speed its operations promise."
    return ClaimCard(
        source="DeepCache, table 3",
        url=DEEPCACHE.url,
        text="Keeping deep features for five steps runs sampling 2.15 × as fast with little loss.",
        rows=rows,
        verdict=verdict,
        reason=reason,
        setting=f"{setting} Paper: Stable Diffusion 1.5, PLMS 50, one GPU; its table counts "
        "branches otherwise than its package, so the branch is not decided.",
        details="Reproduced: at least the paper's speed. In part: more than 1.05 × the speed. "
        "CLIP scores need a text-to-image model, so they are not compared.",
        bibtex=DEEPCACHE.bibtex(),
    )


def _time_change(point: Point | None, base: Point | None) -> tuple[float | None, Basis]:
    if point is None or base is None or point.seconds is None or base.seconds is None:
        return None, "predicted"
    change = 100 * (point.seconds.value / base.seconds.value - 1)
    basis: Basis = "predicted" if point.basis == "predicted" else "measured"
    return change, basis


def _agrees(change: float | None, paper: float) -> Verdict:
    if change is None:
        return "open"
    if change <= paper + MARGIN:
        return "reproduced"
    return "part" if change < -MARGIN else "failed"


def _reason(change: float | None, operations: float | None, paper: float) -> str:
    if change is None or operations is None:
        return "Not timed on this machine yet."
    if change <= paper + MARGIN:
        return "Time falls as far as in the paper."
    saved = f"{abs(operations):.0f} %"
    if abs(change - operations) <= MARGIN:
        return f"Time falls as operations do on this model, by about {saved}, and no further."
    if change > operations:
        return f"Time falls less than the {saved} of operations that this model saves."
    return f"Time falls further than the {saved} of operations that this model saves."


def _signed(value: float | None) -> str:
    return (
        "not run" if value is None else f"{number(value) if value < 0 else '+' + number(value)} %"
    )


def _times(value: float | None) -> str:
    return "not run" if value is None else f"{number(value)} ×"
