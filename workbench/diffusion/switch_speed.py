"""How fast a run is that hands over from one network to another, from their costs alone."""

from __future__ import annotations


def check_switch(switch: int, steps: int) -> None:
    """That a run has the step at which it hands over.

    Raises:
        ValueError: more than the run has.
    """
    if not 0 <= switch <= steps:
        raise ValueError(
            f"Switch must be between 0 and {steps}, the steps of this run. You gave {switch}"
        )


def predicted_speed(small: float, full: float, steps: int, switch: int) -> float:
    """n c_full / (s c_small + (n - s) c_full): how many times as fast as the full network alone.

    Args:
        small, full: cost of a pass of either network.
        steps: n of the run.
        switch: s of them by the small network.

    Raises:
        ValueError: more than the run has.
    """
    check_switch(switch, steps)
    return steps * full / (switch * small + (steps - switch) * full)
