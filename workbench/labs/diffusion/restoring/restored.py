"""What each way makes of a picture: bicubic alone, in the latents of 8x, and in those of 4x."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from workbench import shipped
from workbench.labs.diffusion.restoring.source import Source
from workbench.progress import Report, part, silent

if TYPE_CHECKING:
    from workbench.diffusion.super_resolution import Restorer

FOLDER = "data/super-resolution"
BICUBIC, EIGHT, FOUR, ORIGINAL = "bicubic", "8×", "4×", "original"
ARMS = (BICUBIC, EIGHT, FOUR)


@dataclass(frozen=True, eq=False)
class Restored:
    """A picture and what became of it.

    Attributes:
        source: what was restored.
        pictures: [H, W, 3] in [0, 1], by arm, four times as large as `source.low`.
        seconds: wall time by arm, of a second run, compiled.
        macs: multiply-adds by arm, counted from shapes.
    """

    source: Source
    pictures: Mapping[str, Float[np.ndarray, "H W 3"]]
    seconds: Mapping[str, float] = field(default_factory=dict)
    macs: Mapping[str, float] = field(default_factory=dict)
    _quality: dict[str, dict[str, float]] = field(default_factory=dict, repr=False)

    def quality(self, arm: str) -> dict[str, float]:
        """Of an arm against the original; empty where there is none."""
        from workbench.diffusion.super_resolution import metrics

        if self.source.sharp is None:
            return {}
        if arm in self._quality:
            return self._quality[arm]
        glyphs = () if self.source.glyphs is None else (self.source.glyphs,)
        values = metrics.quality(self.pictures[arm][None], self.source.sharp[None], glyphs)
        return self._quality.setdefault(arm, values)


def folder(given: str | Path | None) -> Path:
    """Where the restorers are: given, or shipped."""
    return shipped.path(FOLDER) if given is None else Path(given).expanduser()


def restorers(place: Path) -> dict[str, Restorer]:
    """The restorers that the training command wrote into a folder; read once, and once changed.

    Raises:
        CheckpointError: what is missing or does not fit.
    """
    changed = max((file.stat().st_mtime_ns for file in place.glob("*/*/*")), default=0)
    return _read(place, changed)


@lru_cache(maxsize=2)
def _read(place: Path, changed: int) -> dict[str, Restorer]:
    from workbench.diffusion.super_resolution import load_restorer
    from workbench.diffusion.super_resolution.restorer import EIGHT as EIGHT_FOLDER
    from workbench.diffusion.super_resolution.restorer import FOUR as FOUR_FOLDER

    return {
        EIGHT: load_restorer(place / EIGHT_FOLDER),
        FOUR: load_restorer(place / FOUR_FOLDER),
    }


def restored(source: Source, place: Path, report: Report = silent) -> Iterator[Restored]:
    """Arm after arm, bicubic only where it is made larger; each runs twice, the first compiles.

    Raises:
        CheckpointError: a folder without restorers.
        ValueError: a picture they cannot take.
        Cancelled: from `report`.
    """
    from workbench.diffusion.super_resolution.pictures import enlarged_again

    low = source.low[None]
    pictures: dict[str, np.ndarray] = {}
    seconds: dict[str, float] = {}
    macs: dict[str, float] = {}
    if not source.rebuilt:
        pictures[BICUBIC] = enlarged_again(low)[0]
        yield Restored(source, dict(pictures))
    found = restorers(place)
    for number, (arm, restorer) in enumerate(found.items()):
        told = part(report, number, len(found))
        run = _round_trip(restorer) if source.rebuilt else restorer.restored
        pictures[arm] = run(low, part(told, 0, 2))[0]
        yield Restored(source, dict(pictures), dict(seconds), dict(macs))
        began = time.perf_counter()
        run(low, part(told, 1, 2))
        seconds[arm] = time.perf_counter() - began
        macs[arm] = _counted(restorer, source)
    yield Restored(source, pictures, seconds, macs)


def _round_trip(restorer: Restorer) -> Callable[..., np.ndarray]:
    """Through its autoencoder and back, untiled."""
    import jax

    from workbench.diffusion.super_resolution.networks import Network, reconstructed

    config = restorer.vae.config
    program = jax.jit(lambda weights, x: reconstructed(Network(config, weights), x))

    def run(pictures: np.ndarray, report: Report = silent) -> np.ndarray:
        report(0, 1, "Encoding and decoding")
        found = program(restorer.vae.weights, np.asarray(2 * pictures - 1, np.float32))
        return np.clip((np.asarray(found) + 1) / 2, 0, 1)

    return run


def _counted(restorer: Restorer, source: Source) -> float:
    """Multiply-adds of a picture, untiled; without the UNet where it only goes there and back."""
    from workbench.diffusion.super_resolution.arithmetic import picture_cost
    from workbench.diffusion.unet import UNetConfig
    from workbench.diffusion.vae import AutoencoderConfig

    vae, unet = restorer.vae.config, restorer.unet.config
    assert isinstance(vae, AutoencoderConfig) and isinstance(unet, UNetConfig)
    return picture_cost(vae, None if source.rebuilt else unet, *source.size).total
