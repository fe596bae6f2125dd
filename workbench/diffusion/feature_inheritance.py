"""Feature inheritance at block level: most steps run only the outermost layers.

DeepCache (Ma et al., CVPR 2024, arXiv 2312.00858) keeps the decoder's hidden state below a skip
branch and recomputes what lies above it; A-SDM (arXiv 2406.00210) calls the family feature
inheritance, of which this is the block level.
"""

from __future__ import annotations

from typing import Literal

from workbench.diffusion import step_lists
from workbench.diffusion.plan import Plan
from workbench.diffusion.planned import PlannedSampling
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob
from workbench.study.paper import Paper

DEEPCACHE = Paper(
    key="ma2024deepcache",
    title="DeepCache: Accelerating Diffusion Models for Free",
    authors="Ma, Xinyin and Fang, Gongfan and Wang, Xinchao",
    year=2024,
    arxiv="2312.00858",
    venue="CVPR 2024",
    claim="Reusing deep features with interval 5 runs Stable Diffusion 1.5 2.15 × as fast with "
    "little loss.",
)


class FeatureInheritance(PlannedSampling):
    """Full steps at a list of steps, outermost layers only in between."""

    name = "Feature inheritance"
    version = "1"
    slot = 2
    paper = DEEPCACHE
    plan_field = "mode"

    class Knobs(BaseKnobs):
        interval: int = knob(
            5,
            ge=1,
            le=20,
            unit="steps",
            help="One step in this many runs in full.",
            paper=5,
            source="DeepCache §3.2",
            visible_when={"mode": ("uniform", "centre-dense")},
        )
        branch: int = knob(
            0,
            ge=0,
            le=11,
            help="Skip connection down to which layers are recomputed, 0 the outermost.",
            source="DeepCache package: cache_branch_id",
        )
        mode: Literal["uniform", "centre-dense", "custom"] = knob(
            "uniform",
            label="Step mode",
            help="How full steps spread over the run.",
            source="DeepCache §3.3",
            choices={"uniform": "Uniform", "centre-dense": "Centre-dense", "custom": "My own"},
        )
        centre: float = knob(
            15.0,
            ge=0,
            le=1000,
            step=1,
            label="Centre",
            help="Full steps crowd around this step.",
            paper=15,
            source="DeepCache table 10",
            visible_when={"mode": "centre-dense"},
        )
        power: float = knob(
            1.4,
            ge=1.02,
            le=3.0,
            step=0.02,
            label="Crowding",
            help="How strongly they crowd; 1 is uniform.",
            paper=1.4,
            source="DeepCache table 10",
            visible_when={"mode": "centre-dense"},
        )
        custom_steps: tuple[int, ...] = knob(
            (0, 5, 10, 15, 20, 25, 30, 35, 40, 45),
            label="My full steps",
            help="Step numbers from 0; step 0 must be among them.",
            visible_when={"mode": "custom"},
        )

    def plan(self, steps: int) -> Plan:
        return Plan.from_full_steps(
            self.full_steps(steps), steps, "shallow", branch=self.knobs.branch
        )

    def full_steps(self, steps: int) -> tuple[int, ...]:
        """The steps of a run of `steps` that compute everything."""
        knobs = self.knobs
        if knobs.mode == "uniform":
            return step_lists.uniform(steps, knobs.interval)
        if knobs.mode == "custom":
            return tuple(sorted(knobs.custom_steps))
        return step_lists.centre_dense(steps, knobs.interval, knobs.centre, knobs.power)
