"""What a call costs, as formulas of its shapes: the same type for every op."""

from __future__ import annotations

from typing import NamedTuple

from jax.experimental import pallas as pl


class Cost(NamedTuple):
    """Arithmetic and traffic of one call.

    Args:
        macs: multiply-accumulates.
        bytes_moved: bytes of inputs read and outputs written, those a form reads twice counted
            twice.
        transcendentals: exponentials, logarithms and roots.
    """

    macs: int
    bytes_moved: int
    transcendentals: int = 0

    def estimate(self) -> pl.CostEstimate:
        """The cost as `pallas_call` wants it: the only figures XLA has for a kernel."""
        return pl.CostEstimate(
            flops=2 * self.macs,
            bytes_accessed=self.bytes_moved,
            transcendentals=self.transcendentals,
        )
