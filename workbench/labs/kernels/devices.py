"""What each device allows at best for some work: by formula where it is not here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.labs.kernels.forms import HERE, forms
from workbench.labs.kernels.work import Work
from workbench.measure.cost import Cost
from workbench.measure.roofline import PEAKS, Peaks, Roofline, roofline
from workbench.measure.timing import Timing

if TYPE_CHECKING:
    from kernels_pallas.costs import Cost as Counted

SHOWN = ("h200", "tpu-v6e", "tpu-v5e")


@dataclass(frozen=True)
class Place:
    """One device, and the work on it.

    Args:
        key: of the form's choice.
        form: the form of the op that `implementation="auto"` takes there.
        cost: of the work in that form, by the op's formulas.
        peaks: its rates.
        dtype: whose peak is taken; another than the work's where the table has no figure for it.
        best: the least time, by the roofline.
        timed: what was measured, by form; empty where nothing ran.
    """

    key: str
    form: str
    cost: Counted
    peaks: Peaks
    dtype: str
    best: Roofline
    timed: Mapping[str, Timing]

    @property
    def name(self) -> str:
        """The device's name, short."""
        short = self.peaks.name.removeprefix("NVIDIA ").removesuffix(" SXM")
        return "This machine" if self.key == HERE else short


def intensity(cost: Counted) -> float:
    """Arithmetic intensity [flop/B]."""
    return 2 * cost.macs / cost.bytes_moved


def rate(cost: Counted, seconds: float) -> float:
    """Arithmetic rate of a call that takes so long [flop/s]."""
    return 2 * cost.macs / seconds


def places(work: Work, here: Peaks | None, timed: Mapping[str, Timing]) -> list[Place]:
    """The work on every device that is shown, and on this one where its rates are known.

    Args:
        here: this machine's measured rates.
        timed: measured here, by form.
    """
    peaks: dict[str, Peaks] = {key: PEAKS[key] for key in SHOWN}
    if here is not None:
        peaks[HERE] = here
    named = forms(work, list(peaks))
    return [_place(work, key, named[key], known, timed) for key, known in peaks.items()]


def _place(work: Work, key: str, form: str, peaks: Peaks, timed: Mapping[str, Timing]) -> Place:
    dtype, formula = _bounding(work.arithmetic, peaks), work.cost(form)
    cost = Cost(macs=formula.macs, bytes_moved=formula.bytes_moved, basis="modelled")
    best = roofline(cost, peaks, dtype)
    return Place(key, form, formula, peaks, dtype, best, timed if key == HERE else {})


def _bounding(dtype: str, peaks: Peaks) -> str:
    """The dtype whose peak bounds the work: its own, else one that can hold it."""
    wanted = (dtype, *_INSTEAD.get(dtype, ()))
    return next(
        (name for name in wanted if name in peaks.flops_per_s), next(iter(peaks.flops_per_s))
    )


# A TPU has no float32 unit of its own: its peak is given for bfloat16 products.
_INSTEAD: Mapping[str, Sequence[str]] = {
    "float32": ("bfloat16",),
    "bfloat16": ("float32",),
    "int8": ("float32",),
}
