"""Device memory before a run: what holds it, and what would fit where it is too small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.figures.numbers import memory

if TYPE_CHECKING:
    from workbench.diffusion.arithmetic import UnitCosts
    from workbench.diffusion.pipeline import Pipeline
    from workbench.diffusion.plan import Plan

SMALLER = {"float32": ("bfloat16", "int8"), "bfloat16": ("int8",), "int8": ()}
STORED = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.0}
"""Bytes a weight, scales and norms left out."""


@dataclass(frozen=True)
class Room:
    """Bytes of one run, and bytes that are there.

    Args:
        weights: of all parts, on the device already.
        features: of the network's own work at its peak, an estimate from its shapes.
        decoding: of the decoder's at its peak; it works after the network, not beside it.
        free: what the device says is left; None where it does not tell.
    """

    weights: float
    features: float
    decoding: float = 0.0
    free: float | None = None

    @property
    def activations(self) -> float:
        """What comes on top of the weights."""
        return max(self.features, self.decoding)

    @property
    def fits(self) -> bool:
        """Whether it is foreseen to run."""
        return self.free is None or self.activations <= self.free


def features(costs: UnitCosts, plan: Plan, passes: int, pictures: int) -> float:
    """Bytes of the UNet's features at about the peak of a plan (our estimate, see `UnitCosts`)."""
    held = costs.kept_bytes(plan) * passes * pictures
    return float(costs.group_bytes(plan.longest, passes, pictures) + held)


def room_of(
    pipeline: Pipeline,
    costs: UnitCosts,
    *,
    pictures: int,
    area: float,
    weights: float,
    free: float | None,
) -> Room:
    """The memory of a run of `pictures` at once.

    Args:
        costs: counted at the model's own size.
        area: of a picture, against that size.
        weights: bytes of all parts.
    """
    decoding = 0.0
    if pipeline.vae is not None:
        from workbench.diffusion.images import decode_bytes

        height, width, _ = pipeline.sample_shape
        decoding = float(decode_bytes(pipeline.vae.config, height, width))
    return Room(
        weights=weights,
        features=area * features(costs, pipeline.plan, pipeline.passes, pictures),
        decoding=decoding,
        free=free,
    )


def what_would_fit(
    room: Room, pictures: int, size: tuple[int, int], multiple: int, precision: str
) -> str:
    """One sentence on what would fit; of a run that does.

    Args:
        pictures: sampled together.
        size: height and width of a picture.
        multiple: of which both must be one.
        precision: of the weights.
    """
    if room.free is None or room.fits:
        return ""
    found = []
    fewer = next((n for n in _halves(pictures) if _needed(room, n / pictures) <= room.free), None)
    if fewer is not None:
        found.append(f"{fewer} at a time")
    scale = min((room.free / room.activations) ** 0.5, 1.0)
    small = [int(side * scale) // multiple * multiple for side in size]
    if min(small) >= multiple:
        found.append(f"{small[0]} × {small[1]} pixels")
    for name in SMALLER[precision]:
        saved = room.weights * (1 - STORED[name] / STORED[precision])
        if room.activations <= room.free + saved:
            found.append(f"weights in {name}")
            break
    needs = f"About {memory(room.activations)} are needed beside the weights; "
    there = f"{memory(room.free)} are free."
    return needs + there + (f" {_or(found)} would fit" if found else " Nothing smaller fits either")


def _needed(room: Room, share: float) -> float:
    return max(room.features * share, room.decoding)


def _halves(count: int) -> list[int]:
    found = []
    while count > 1:
        count //= 2
        found.append(count)
    return found


def _or(words: list[str]) -> str:
    text = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
    return text[:1].upper() + text[1:]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the device's memory ran out."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "resource_exhausted" in text or "out of memory" in text
