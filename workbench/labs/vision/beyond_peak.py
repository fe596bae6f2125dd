"""What a share of the peak above one means: less time than the ideal, and why that can be."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.labs.vision.machines import MEASURED, VENDOR, YOURS, Machine

WHY = {
    MEASURED: "Winograd’s form of 3 × 3 layers multiplies less than is counted, or the measured "
    "peak is low",
    VENDOR: "fewer products ran than are counted, or the device’s clock was above the vendor’s",
    YOURS: "the peak you gave is below what was reached, or fewer products ran than are counted",
}


def beyond_peak(names: Sequence[str], machine: Machine) -> str:
    """A sentence on those with operations / (latency × peak) > 1; empty where there are none.

    Args:
        names: of what took less than its ideal time.
        machine: whose peak it is.
    """
    if not names:
        return ""
    said = f"{', '.join(names)} took less than the ideal time (efficiency above 1)"
    return f"{said}: {WHY[machine.peak_from]}"
