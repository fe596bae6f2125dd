"""First-block cache: the first block tells whether the others need to run.

Known from ParaAttention and diffusers, without a paper of its own; the idea is TeaCache's (Liu et
al. 2025, section 3.3): a cheap part of the model shows how far the rest has moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.measure.cost import Cost
from workbench.progress import Report, silent
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob
from workbench.study.method import Method, Problem

if TYPE_CHECKING:
    from workbench.diffusion.dit.cached_sampling import CachedPipeline
    from workbench.diffusion.pipeline import Inputs, Pipeline


class FirstBlockCache(Method):
    """The blocks after the first run only where the first block's residual has changed enough.

    With r the first block's residual, and r' that of the last step that ran in full, a step runs in
    full where mean |r - r'| > threshold mean |r'|. The means are over everything computed
    together, so pictures of one batch run in full at the same steps.
    """

    name = "First-block cache"
    version = "1"

    class Knobs(BaseKnobs):
        threshold: float = knob(
            0.05,
            ge=0.0,
            le=1.0,
            step=0.01,
            help="Relative change of the first block's residual above which a step runs in full.",
            source="the default of diffusers",
        )

    def check(self, subject: Any) -> list[Problem]:
        from workbench.diffusion.dit.cached_sampling import transformer_problems

        return transformer_problems(subject, self.name)

    def predict(self, subject: Pipeline) -> Cost:
        """Unknown before the run, which decides: only what is kept follows from shapes."""
        import numpy as np

        from workbench.diffusion.dit.cached_sampling import compute_dtype, hidden_shape

        values = 2 * np.prod(hidden_shape(subject, 1)).item()
        return Cost(cache_bytes=float(values * compute_dtype(subject).itemsize), basis="modelled")

    def prepare(self, subject: Pipeline, seed: int = 0, report: Report = silent) -> CachedPipeline:
        from workbench.diffusion.dit.cached_sampling import CachedPipeline
        from workbench.diffusion.dit.first_block_steps import FirstBlock

        self.require(subject)
        return CachedPipeline(subject, FirstBlock(self.knobs.threshold))

    def apply(self, artifact: CachedPipeline, inputs: Inputs) -> dict[str, Any]:
        from workbench.diffusion.dit.cached_sampling import sample_cached

        return sample_cached(artifact, inputs)
