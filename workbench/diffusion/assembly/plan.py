"""Which students of the shipped teacher are trained, and for how long; all of it ours.

Command     python -m workbench.diffusion.assembly.train --out data/digits-assembled
Hardware    CPU; the shipped weights were made on one core that other work shared
Minutes     5 of processor time for the four students of one seed, and 2 to compile

BK-SDM trains for 50,000 updates of 256 pictures at a constant rate of 5e-5. These are 240 of 16, so
the rate is higher and falls.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.diffusion.assembly.students import STUDENTS, Student
from workbench.training import Recipe


@dataclass(frozen=True)
class Plan:
    """Students and lengths.

    Attributes:
        students: which.
        steps: updates of each; the same for all, so that experts meet plain kernels at equal ones.
        batch_size: pictures of an update.
        learning_rate: its peak.
        seeds: each trains every student anew.
        judged: pictures each student is judged on for its card.
    """

    students: tuple[Student, ...] = STUDENTS
    steps: int = 240
    batch_size: int = 16
    learning_rate: float = 7e-4
    seeds: tuple[int, ...] = (0, 1, 2)
    judged: int = 200

    def recipe(self, seed: int) -> Recipe:
        """AdamW, a short warm-up, a cosine to a fiftieth, averaged weights."""
        return Recipe(
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup=min(20, self.steps // 4),
            schedule="cosine",
            final_fraction=0.02,
            betas=(0.9, 0.99),
            weight_decay=1e-2,
            clip_norm=1.0,
            ema_decay=0.98,
            log_every=max(1, self.steps // 40),
            checkpoint_every=60,
            seed=seed,
        )
