"""A cache of keys and values whose rows may be at different places of their texts.

Each row counts its own tokens, so that a text can join a batch that is under way. A cache of S
slots holds the newest S tokens: token t is in slot t mod S, so that one of a sliding window stays
as small as the window.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class KeyValues(NamedTuple):
    """What attention keeps of a text.

    Attributes:
        keys, values: of the newest tokens, heads first: the order that products read.
        seen: tokens so far.
    """

    keys: Float[Array, "B G S K"]
    values: Float[Array, "B G S K"]
    seen: Int[Array, " B"]


def empty(batch: int, slots: int, heads: int, width: int, dtype: Any) -> KeyValues:
    """Before the first token; keys and values are kept in `dtype`."""
    shape = (batch, heads, slots, width)
    return KeyValues(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.zeros(batch, jnp.int32))


def appended(cache: KeyValues, k: Float[Array, "B T G K"], v: Float[Array, "B T G K"]) -> KeyValues:
    """The cache after T more tokens, which replace the oldest where it is full."""
    batch, new = k.shape[:2]
    slots = cache.keys.shape[2]
    kept = min(new, slots)
    rows = jnp.arange(batch)[:, None]
    slot = (cache.seen[:, None] + jnp.arange(new - kept, new)[None, :]) % slots
    place = (rows, slice(None), slot)
    return KeyValues(
        cache.keys.at[place].set(k[:, new - kept :].astype(cache.keys.dtype)),
        cache.values.at[place].set(v[:, new - kept :].astype(cache.values.dtype)),
        cache.seen + new,
    )


def held(cache: KeyValues) -> Bool[Array, "B S"]:
    """Which slots hold a token."""
    return jnp.arange(cache.keys.shape[2])[None, :] < cache.seen[:, None]


def by_age(
    cache: KeyValues,
) -> tuple[Float[Array, "B S G K"], Float[Array, "B S G K"], Bool[Array, "B S"]]:
    """Keys and values with the oldest token first and the newest last, and which are a token."""
    slots = cache.keys.shape[2]
    ages = jnp.arange(slots)[None, :]
    order = ((cache.seen[:, None] + ages) % slots)[:, None, :, None]
    keys, values = (jnp.take_along_axis(a, order, axis=2) for a in (cache.keys, cache.values))
    first = slots - jnp.minimum(cache.seen, slots)
    return jnp.moveaxis(keys, 1, 2), jnp.moveaxis(values, 1, 2), ages >= first[:, None]


def cache_bytes(slots: int, heads: int, width: int, element: int) -> int:
    """Bytes of a row: keys and values of every slot, and the count."""
    return 2 * slots * heads * width * element + 4
