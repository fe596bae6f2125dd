"""How sparse a network is at a step of its training: the cubic schedule of gradual pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


@dataclass(frozen=True)
class CubicSchedule:
    """s(t) = s_f + (s_i - s_f) (1 - (t - t0) / (n Δt))³ (Zhu & Gupta 2017, eq. 1).

    Masks are made anew at t0, t0 + Δt, ..., t0 + n Δt, and are frozen after.

    Args:
        start: t0, in steps.
        length: n Δt, in steps; a multiple of `every`.
        every: Δt, in steps.
        final: s_f.
        initial: s_i.

    Raises:
        ValueError: naming the argument.
    """

    start: int
    length: int
    every: int
    final: float
    initial: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("start", 0), ("length", 1), ("every", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(
                    f"{name}={value!r}; needed a whole number of steps from {least} on"
                )
        if self.length % self.every:
            raise ValueError(f"every={self.every} does not divide length={self.length}")
        if not 0 <= self.initial <= self.final < 1:
            raise ValueError(
                f"initial={self.initial} and final={self.final}; needed"
                " 0 <= initial <= final < 1, shares of weights that are zero"
            )

    @property
    def end(self) -> int:
        """The step from which masks stay."""
        return self.start + self.length

    def sparsity(self, step: Any) -> Float[Array, ""]:
        """Share of zeros after the pruning that was due last; nothing before the first.

        Args:
            step: a whole number, which may be traced.
        """
        done = jnp.clip(jnp.asarray(step) - self.start, 0, self.length) // self.every * self.every
        left = 1 - done.astype(jnp.float32) / self.length
        found = self.final + (self.initial - self.final) * left**3
        return jnp.where(jnp.asarray(step) < self.start, jnp.float32(0), found)

    def due(self, step: Any) -> Bool[Array, ""]:
        """Whether masks are made anew at a step.

        Args:
            step: a whole number, which may be traced.
        """
        since = jnp.asarray(step) - self.start
        return (since >= 0) & (since <= self.length) & (since % self.every == 0)
