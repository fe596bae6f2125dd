"""Encoder propagation: encode at key steps only, decode the steps between in one batch.

Faster Diffusion (Li et al., NeurIPS 2024, arXiv 2312.09608): encoder features hardly move between
neighbouring steps, decoder features do. At a step that is not a key step the decoder never sees
the current latent, so the decoder passes of a whole group run at once, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from workbench.diffusion import step_lists
from workbench.diffusion.plan import Plan
from workbench.diffusion.planned import PlannedSampling
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob
from workbench.study.paper import Paper

FASTER_DIFFUSION = Paper(
    key="li2024faster",
    title="Faster Diffusion: Rethinking the Role of the Encoder for Diffusion Model Inference",
    authors="Li, Senmao and Hu, Taihang and van de Weijer, Joost and Khan, Fahad Shahbaz and "
    "Liu, Tao and Li, Linxuan and Yang, Shiqi and Wang, Yaxing and Cheng, Ming-Ming and Yang, Jian",
    year=2024,
    arxiv="2312.09608",
    venue="NeurIPS 2024",
    claim="Propagating the encoder over 50 DDIM steps keeps quality and cuts time by 41 %.",
)


THE_PAPERS: Mapping[str, Any] = {"key_steps": "paper", "injection": 0.003}
"""Knobs of the paper's main results (§3.3, §3.4, table 1), at 50 DDIM steps."""


class EncoderPropagation(PlannedSampling):
    """Encoder features of the last key step serve the steps after it."""

    name = "Encoder propagation"
    version = "1"
    slot = 1
    paper = FASTER_DIFFUSION
    plan_field = "key_steps"

    class Knobs(BaseKnobs):
        key_steps: Literal[
            "paper",
            "second",
            "late",
            "spread",
            "100ls",
            "75ls",
            "s2",
            "triangular",
            "uniform",
            "custom",
        ] = knob(
            "paper",
            label="Key steps",
            help="The steps that run the encoder; the others decode with its kept features. IF 1, "
            "IF 2: for stages of DeepFloyd IF.",
            paper="paper",
            source="Faster Diffusion §3.3",
            choices={
                "paper": "50ls (paper)",
                "second": "50ls2",
                "late": "50ls3",
                "spread": "50ls4",
                "100ls": "100ls (IF 1)",
                "75ls": "75ls (IF 1)",
                "s2": "s2 (IF 2)",
                "triangular": "Triangular",
                "uniform": "Uniform",
                "custom": "My own",
            },
        )
        interval: int = knob(
            4,
            ge=1,
            le=20,
            unit="steps",
            help="Every step of this number is a key step.",
            source="Faster Diffusion, public settings: 4 for community checkpoints",
            visible_when={"key_steps": "uniform"},
        )
        custom_steps: tuple[int, ...] = knob(
            (0, 1, 2, 3, 5, 10, 15, 25, 35),
            label="My key steps",
            help="Step numbers from 0; step 0 must be among them.",
            visible_when={"key_steps": "custom"},
        )
        largest_group: int = knob(
            8,
            ge=1,
            le=16,
            unit="steps",
            label="Largest group",
            help="Decoder passes that run as one batch at most; groups are cut into powers of two. "
            "The result is the same for every value.",
            source="Faster Diffusion §3.3; the paper's longest group is 15",
        )
        injection: float = knob(
            0.0,
            ge=0.0,
            le=0.02,
            step=0.001,
            label="Noise injection",
            help="Adds this share of the first noise before each step of the last half.",
            paper=THE_PAPERS["injection"],
            source="Faster Diffusion §3.4",
        )

    @classmethod
    def unfit(cls, steps: int) -> Mapping[str, Sequence[Any]]:
        lengths = step_lists.DEEPFLOYD_STEPS.items()
        return {"key_steps": [name for name, length in lengths if length != steps]}

    def plan(self, steps: int) -> Plan:
        return Plan.from_full_steps(
            self.full_steps(steps),
            steps,
            "decode",
            largest_group=self.knobs.largest_group,
            injection=self.knobs.injection,
        )

    def full_steps(self, steps: int) -> tuple[int, ...]:
        """The key steps of a run of `steps` steps."""
        chosen = self.knobs.key_steps
        if chosen == "uniform":
            return step_lists.uniform(steps, self.knobs.interval)
        if chosen == "triangular":
            return step_lists.triangular(steps)
        if chosen == "custom":
            return tuple(sorted(self.knobs.custom_steps))
        return step_lists.published(chosen, steps)
