"""Details of the status line: the noise floor, and what a run here spent on compiling."""

from __future__ import annotations

from workbench.figures import numbers
from workbench.study.comparison import Comparison

WORTH_A_WORD = 0.5
"""Seconds of compiling below which nothing is said: first calls are a little slower anyway."""


def details(known: Comparison | None, live: Comparison | None) -> list[str]:
    """In a few words each.

    Args:
        known: the comparison on the screen, run here or recorded.
        live: the same where it ran here.
    """
    found = []
    if known is not None and known.noise is not None:
        found.append(f"Noise floor {100 * known.noise:.1f} %")
    if live is not None and "cost.compile" in live.tables.columns:
        seconds = float(live.tables.trials.groupby("method")["cost.compile"].first().sum())
        if seconds >= WORTH_A_WORD:
            found.append(f"Compiling took {numbers.seconds(seconds)}")
    return found
