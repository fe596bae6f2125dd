"""FID and CLIPScore, by networks the user has the weights of.

    networks = diffusion.OwnNetworks.load(
        inception="inception.safetensors", reference="real-pictures", clip="clip-vit-base-patch32"
    )
    workbench.compare(methods, diffusion.study(pipeline, networks=networks))

Without them a study has the qualities that need no network trained elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from workbench.progress import Report, silent
from workbench.study.study import Outcome, Outputs, Probe

if TYPE_CHECKING:
    from workbench.diffusion.population import Statistics
    from workbench.diffusion.quality.clip import CLIP
    from workbench.diffusion.quality.inception import Inception


@dataclass(frozen=True, eq=False)
class OwnNetworks:
    """What is measured by them.

    Args:
        inception: for FID.
        reference: features [N, 2048] of real pictures, or their statistics.
        clip: for CLIPScore, of a model that reads prompts.
        files: what `load` read them from, by its argument; empty for what was made in memory.
    """

    inception: Inception | None = None
    reference: Float[np.ndarray, "N D"] | Statistics | None = None
    clip: CLIP | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_both(self.inception, self.reference)

    @classmethod
    def load(
        cls,
        *,
        inception: str | Path | None = None,
        reference: str | Path | None = None,
        clip: str | Path | None = None,
        report: Report = silent,
    ) -> OwnNetworks:
        """Read what there is.

        Args:
            inception: safetensors file of Inception v3 under torchvision's names.
            reference: folder of real pictures, or an `.npz` with their `mu` and `sigma`.
            clip: directory of a CLIP in transformers' layout.
            report: progress over the real pictures.

        Raises:
            CheckpointError: names the file, and what in it is missing or does not fit.
            ValueError: one of inception and reference without the other, or no such statistics.
            DatasetError: a folder that holds no pictures.
        """
        from workbench.diffusion.quality.clip import CLIP
        from workbench.diffusion.quality.inception import Inception

        _require_both(inception, reference)
        given = {"inception": inception, "reference": reference, "clip": clip}
        files = {name: str(file) for name, file in given.items() if file is not None}
        scorer = None if clip is None else CLIP.load(clip)
        if inception is None or reference is None:
            return cls(clip=scorer, files=files)
        network = Inception.load(inception)
        return cls(network, _features(network, Path(reference), report), scorer, files)

    def derived(self, outputs: Outputs) -> Outputs:
        """Features of each picture, computed once for all probes."""
        found = {}
        if self.inception is not None:
            found["inception"] = self.inception.features(outputs["image"])
        if self.clip is not None:
            found["clip"] = self.clip.images(outputs["image"])
        return found

    @property
    def probes(self) -> tuple[Probe, ...]:
        """What they tell."""
        fid = Probe("fid", self._fid, "", "lower", level="population", label="FID (Inception v3)")
        score = Probe("clip_score", self._clip_score, "", "higher", label="CLIPScore")
        return (
            *((score,) if self.clip is not None else ()),
            *((fid,) if self.inception is not None else ()),
        )

    def _fid(self, outcome: Outcome) -> float:
        from workbench.diffusion.population import frechet_distance

        assert self.reference is not None
        if len(outcome.seeds) < 2:
            return float("nan")
        return frechet_distance(outcome.outputs["inception"], self.reference)

    def _clip_score(self, outcome: Outcome) -> np.ndarray:
        from workbench.diffusion.quality.clip import clip_score

        assert self.clip is not None
        prompts = outcome.subject.prompts
        if not prompts:
            raise ValueError(
                f"{outcome.subject.name} reads no prompts to hold its pictures against"
            )
        texts = [prompts[seed % len(prompts)] for seed in outcome.seeds]
        return clip_score(outcome.outputs["clip"], self.clip.texts(texts))


def _require_both(inception: Any, reference: Any) -> None:
    if (inception is None) != (reference is None):
        raise ValueError(
            "FID needs both: inception, the network, and reference, real pictures to hold against "
            "(a folder, or an .npz with mu and sigma)"
        )


def _features(
    network: Inception, place: Path, report: Report
) -> Float[np.ndarray, "N D"] | Statistics:
    from workbench.datasets import image_folder
    from workbench.diffusion.population import Statistics
    from workbench.diffusion.quality.inception import SIZE

    if place.suffix == ".npz":
        return Statistics.load(place)
    data = image_folder(place, SIZE, channels=3, enlarge=True)
    pictures = np.concatenate([data.train.images, data.test.images])
    return network.features(pictures.astype(np.float32) / 255, report)
