"""A logarithm in plain arithmetic, for where many are taken."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

LOWEST = 0x3FE6A09E667F3BCD
"""sqrt(1/2) as an integer of the same 64 bits."""

LN_2 = 0.6931471805599453
MANTISSA = 52
DIVISORS = (19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0)


def log(values: Any) -> Any:
    """ln x of positive float64, to a few units of the last place; x itself where not finite.

    XLA calls a library for each logarithm of 64 bits on a CPU, and vectorises this. With x = 2^k m
    and m from sqrt(1/2) to sqrt(2), ln m = 2 artanh(s) for s = (m - 1) / (m + 1), at most 0.172, by
    its series to the 21st power.
    """
    bits = jax.lax.bitcast_convert_type(values, jnp.int64)
    power = (bits - LOWEST) >> MANTISSA
    mantissa = jax.lax.bitcast_convert_type(bits - (power << MANTISSA), jnp.float64)
    ratio = (mantissa - 1) / (mantissa + 1)
    square = ratio * ratio
    series = jnp.full_like(square, 1 / 21)
    for divisor in DIVISORS:
        series = series * square + 1 / divisor
    found = power.astype(jnp.float64) * LN_2 + 2 * ratio * (1 + square * series)
    return jnp.where(jnp.isfinite(values), found, values)
