"""The unique tokens that a division of compute is made for, where a law reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.figures import numbers

if TYPE_CHECKING:
    from workbench.scaling.result import Fit

UNIQUE = "unique_tokens"


def reads_unique(fit: Fit) -> bool:
    """Whether its law tells unique tokens from repeated ones."""
    return UNIQUE in fit.law.columns


def most_unique(fit: Fit) -> float:
    """The most unique tokens of any of its runs."""
    return float(fit.runs[UNIQUE].astype(float).max())


def with_unique(fit: Fit, tokens: float | None = None) -> Fit:
    """The fit, to divide compute with so many unique tokens.

    Args:
        tokens: as many as it has by now, else the most that any of its runs had, where left out.
    """
    if not reads_unique(fit):
        return fit
    if tokens is None:
        tokens = fit.given.get(UNIQUE, most_unique(fit))
    return replace(fit, given={UNIQUE: tokens})


def unique_words(fit: Fit) -> str:
    """What a division takes as given, as a sentence; empty for other laws."""
    if UNIQUE not in fit.given:
        return ""
    tokens = fit.given[UNIQUE]
    most = ", the most any of these runs had" if tokens == most_unique(fit) else ""
    return f"There are {numbers.count(tokens)} unique tokens{most}. "
