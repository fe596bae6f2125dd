"""A cache of keys and values whose rows may be at different places of their texts.

Each row counts its own tokens, so that a text can join a batch that is under way. A cache of S
slots holds the newest S tokens: token t is in slot t mod S, so that one of a sliding window stays
as small as the window.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Shaped

BITS = jnp.dtype(jnp.uint16)
"""How bfloat16 is held: as its bits, since a CPU would widen the whole cache to write a token."""


class KeyValues(NamedTuple):
    """What attention keeps of a text.

    Attributes:
        keys, values: of the newest tokens, heads first: the order that products read. Those in
            bfloat16 are held as `BITS` and read by `numbers`.
        seen: tokens so far.
    """

    keys: Shaped[Array, "B G S K"]
    values: Shaped[Array, "B G S K"]
    seen: Int[Array, " B"]


def empty(batch: int, slots: int, heads: int, width: int, dtype: Any) -> KeyValues:
    """Before the first token; keys and values are kept in `dtype`."""
    shape = (batch, heads, slots, width)
    dtype = BITS if jnp.dtype(dtype) == jnp.bfloat16 else dtype
    return KeyValues(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.zeros(batch, jnp.int32))


def appended(cache: KeyValues, k: Float[Array, "B T G K"], v: Float[Array, "B T G K"]) -> KeyValues:
    """The cache after T more tokens, which replace the oldest where it is full."""
    batch, new, heads, _ = k.shape
    slots = cache.keys.shape[2]
    kept = min(new, slots)
    slot = (cache.seen[:, None] + jnp.arange(new - kept, new)[None, :]) % slots
    # Every axis but the last by index: XLA then writes where the cache is, and copies nothing.
    rows, groups = jnp.arange(batch)[:, None, None], jnp.arange(heads)[None, :, None]
    place = (rows, groups, slot[:, None, :])
    k, v = (jnp.moveaxis(a[:, new - kept :], 1, 2) for a in (k, v))
    return KeyValues(
        _written(cache.keys, place, k), _written(cache.values, place, v), cache.seen + new
    )


def _written(cache: Array, place: tuple[Array, ...], new: Array) -> Array:
    if cache.dtype == BITS:
        new = lax.bitcast_convert_type(new.astype(jnp.bfloat16), BITS)
    return cache.at[place].set(new.astype(cache.dtype))


def numbers(cache: Array, dtype: Any) -> Float[Array, ...]:
    """Keys or values of a cache in the dtype of a product."""
    if cache.dtype == BITS:
        cache = lax.bitcast_convert_type(cache, jnp.bfloat16)
    return cache.astype(dtype)


def held(cache: KeyValues) -> Bool[Array, "B S"]:
    """Which slots hold a token."""
    return jnp.arange(cache.keys.shape[2])[None, :] < cache.seen[:, None]


def by_age(
    cache: KeyValues, dtype: Any
) -> tuple[Float[Array, "B S G K"], Float[Array, "B S G K"], Bool[Array, "B S"]]:
    """Keys and values with the oldest token first and the newest last, and which are a token."""
    slots = cache.keys.shape[2]
    ages = jnp.arange(slots)[None, :]
    order = ((cache.seen[:, None] + ages) % slots)[:, None, :, None]
    keys, values = (
        numbers(jnp.take_along_axis(a, order, axis=2), dtype) for a in (cache.keys, cache.values)
    )
    first = slots - jnp.minimum(cache.seen, slots)
    return jnp.moveaxis(keys, 1, 2), jnp.moveaxis(values, 1, 2), ages >= first[:, None]


def cache_bytes(slots: int, heads: int, width: int, element: int) -> int:
    """Bytes of a row: keys and values of every slot, and the count."""
    return 2 * slots * heads * width * element + 4
