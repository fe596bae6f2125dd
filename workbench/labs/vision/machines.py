"""The devices whose peaks efficiencies are held against, each rate with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from workbench.measure.roofline import PEAKS, Peaks
from workbench.vision.efficiency import recorded, waterline

HERE, RTX3090, H200, TPU = "here", "rtx3090", "h200", "tpu-v5e"
NAMES: Mapping[str, str] = {
    HERE: "This machine", RTX3090: "RTX 3090", H200: "H200", TPU: "TPU v5e",
}  # fmt: skip
DTYPES: Mapping[str, str] = {
    HERE: "float32", RTX3090: "float16", H200: "bfloat16", TPU: "bfloat16",
}  # fmt: skip
SIZES: Mapping[str, int] = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of a number."""

VENDOR, MEASURED, YOURS = "vendor figure", "measured", "yours"
TERA, GIGA = 1e12, 1e9


@dataclass(frozen=True)
class Machine:
    """One device.

    Args:
        key: see `NAMES`.
        dtype: of the numbers its peak is for.
        peak: FLOP/s.
        bandwidth: B/s of main memory.
        peak_from, bandwidth_from: `VENDOR`, `MEASURED` or `YOURS`.
        source: where the device's own come from, with the date of a measurement.
    """

    key: str
    dtype: str
    peak: float
    bandwidth: float
    peak_from: str
    bandwidth_from: str
    source: str

    @property
    def name(self) -> str:
        """On the screen."""
        return NAMES[self.key]

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return SIZES[self.dtype]

    @cached_property
    def balance(self) -> float:
        """Its waterline [FLOP/B]."""
        return waterline.balance(self.peak, self.bandwidth)


def machine(
    key: str,
    *,
    peak: float | None = None,
    bandwidth: float | None = None,
    here: Peaks | None = None,
) -> Machine:
    """A device with its rates, or with yours.

    Args:
        key: see `NAMES`.
        peak: FLOP/s in place of the device's own.
        bandwidth: B/s in place of the device's own.
        here: this machine's rates where they were measured in this session; those recorded with the
            shipped latencies otherwise.

    Raises:
        ValueError: this machine's rates are asked for and none were measured.
    """
    dtype = DTYPES[key]
    if key == HERE:
        known = here or _recorded()
        if known is None:
            raise ValueError("This machine’s rates are not known yet: measure here, or give both")
        where = MEASURED
    else:
        known, where = PEAKS[key], VENDOR
    return Machine(
        key=key,
        dtype=dtype,
        peak=known.flops(dtype) if peak is None else peak,
        bandwidth=known.bytes_per_s if bandwidth is None else bandwidth,
        peak_from=where if peak is None else YOURS,
        bandwidth_from=where if bandwidth is None else YOURS,
        source=f"{known.name}: {known.source}",
    )


def machines(here: Peaks | None = None) -> list[Machine]:
    """All of them with their own rates; this one where its rates are known."""
    keys = [key for key in NAMES if key != HERE or (here or _recorded()) is not None]
    return [machine(key, here=here) for key in keys]


def _recorded() -> Peaks | None:
    found = recorded.latencies()
    return None if found is None else found.peaks
